/**
 * Passkeys, instants in the language and time zone of the browser, names of columns on narrow screens, buttons that
 * copy, and the preview of the widget.
 * All pages but those with a passkey work without it.
 */

const { lang } = document.documentElement;
const instants = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });

for (const time of document.querySelectorAll("time")) {
  time.textContent = instants.format(new Date(time.dateTime));
}

// On a narrow screen the cells are lines, and each says which column it is of.
for (const table of document.querySelectorAll("table")) {
  const names = [...table.querySelectorAll("thead th")].map((each) => each.textContent);
  for (const row of table.querySelectorAll("tbody tr")) {
    [...row.cells].forEach((cell, column) => (cell.dataset.label = names[column]));
  }
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
    // Fires no submit event, so that this listener does not run again.
    form.submit();
  });
  // Until here, a press would send the form without a passkey.
  form.querySelector("button").disabled = false;
}

const MAX_LOGO_BYTES = 16 * 1024;
const look = document.getElementById("look");
if (look) showLook(look.elements, document.getElementById("preview"));

/** Shows in the preview what the form contains, and keeps the logo in the form. */
function showLook({ accent_color: accent, privacy_url: privacy, logo, "logo-file": file }, preview) {
  const { origin } = window.location;
  const locale = document.getElementById("preview-locale");
  const scheme = document.getElementById("preview-scheme");
  const remove = document.getElementById("logo-remove");
  const readability = document.getElementById("readability");
  const valid = (input) => (input.validity.valid && input.value) || null;

  function send() {
    const settings = {
      name: preview.dataset.name,
      readers: JSON.parse(preview.dataset.readers),
      accent_color: valid(accent),
      privacy_url: valid(privacy),
      logo: logo.value || null,
      color_scheme: scheme.value,
    };
    preview.contentWindow.postMessage({ preview: settings }, origin);
  }

  function setLogo(value) {
    logo.value = value;
    remove.hidden = !value;
    send();
  }

  window.addEventListener("message", ({ data, source, origin: from }) => {
    if (source !== preview.contentWindow || from !== origin) return;
    if (data?.type === "preview/ready") send();
    if (data?.type === "preview/readability") readability.textContent = readable(data);
  });

  function readable({ ratio, needed }) {
    if (!ratio) return "";
    const { readable: isFine, shaded } = readability.dataset;
    return (ratio < needed ? shaded : isFine).replace("{ratio}", ratio.toFixed(1)).replace("{needed}", needed);
  }

  for (const input of [accent, privacy, scheme]) input.addEventListener("input", send);
  locale.addEventListener("change", () => {
    preview.src = `/md/preview?locale=${locale.value}`;
  });
  remove.addEventListener("click", () => {
    file.value = "";
    setLogo("");
  });
  file.addEventListener("change", () => {
    const [chosen] = file.files;
    file.setCustomValidity(chosen?.size > MAX_LOGO_BYTES ? file.dataset.tooLarge : "");
    if (!chosen || !file.reportValidity()) return;
    const reader = new FileReader();
    reader.addEventListener("load", () => setLogo(reader.result));
    reader.readAsDataURL(chosen);
  });
}
