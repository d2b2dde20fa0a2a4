/**
 * Shows instants in the language and time zone of the browser, and copies documents. The pages work without it.
 */

const { lang } = document.documentElement;
const instants = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeStyle: "short" });
const days = new Intl.DateTimeFormat(lang, { dateStyle: "medium", timeZone: "UTC" });

for (const time of document.querySelectorAll("time")) {
  const format = "day" in time.dataset ? days : instants;
  time.textContent = format.format(new Date(time.dateTime));
}

for (const button of document.querySelectorAll("[data-copy]")) {
  // The clipboard exists on secure pages only.
  button.hidden = !navigator.clipboard;
  button.addEventListener("click", () =>
    navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent),
  );
}
