/**
 * Passkeys, instants in the language and time zone of the browser, and buttons that copy.
 * All pages but those with a passkey work without it.
 */

const { lang } = document.documentElement;
const instants = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });

for (const time of document.querySelectorAll("time")) {
  time.textContent = instants.format(new Date(time.dateTime));
}

for (const button of document.querySelectorAll("[data-copy]")) {
  // The clipboard exists on secure pages only.
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", () =>
    navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent),
  );
}

const ask = {
  create: (options) =>
    navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) }),
  get: (options) =>
    navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) }),
};

for (const form of document.querySelectorAll("[data-passkey]")) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const failed = form.querySelector("[data-failed]");
    failed.hidden = true;
    try {
      const credential = await ask[form.dataset.passkey](JSON.parse(form.dataset.options));
      form.elements.response.value = JSON.stringify(credential);
    } catch {
      // The person cancelled, or the device has no passkey for this site.
      failed.hidden = false;
      return;
    }
    form.submit();
  });
}
