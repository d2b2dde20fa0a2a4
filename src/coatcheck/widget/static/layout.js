/**
 * The parts of the page that all screens share: the header with the client and the back button, and announcements.
 */

import { el, icon } from "./dom.js";
import { logoImage } from "./components.js";

/**
 * The content of a screen.
 * @typedef {object} View
 * @property {string} title
 * @property {import("./dom.js").Child} [lead] a paragraph below the title
 * @property {import("./dom.js").Child} [top] above the title
 * @property {import("./dom.js").Child[]} body
 * @property {string} [kind] "plain" (from the top) or "centred"
 * @property {() => void} [back] without it there is no back button
 * @property {() => void} [focus] puts the focus elsewhere than on the title
 */

/** A longer wait shows a text as well. */
const LONG_WAIT_MS = 800;

export function createLayout(root, { client, t, onBack, onClose }) {
  const back = el(
    "button",
    { type: "button", class: "icon-button", "aria-label": t("back"), hidden: true, onclick: onBack },
    icon("back"),
  );
  const close = el(
    "button",
    { type: "button", class: "icon-button", "aria-label": t("close"), onclick: onClose },
    icon("close"),
  );
  const loadingLabel = el("span", { class: "loading-label", "aria-hidden": "true", hidden: true }, t("loading"));
  const bar = el("div", { class: "progress", hidden: true }, el("i"), loadingLabel);
  const offline = el("p", { class: "offline", role: "status" });
  const live = el("p", { class: "visually-hidden", role: "status" });
  const main = el("main");
  let longWait = 0;
  root.replaceChildren(
    el(
      "header",
      {},
      el("span", { class: "header-side" }, back),
      el("span", { class: "client" }, logoImage(client.logo_url, client.name, "small"), el("span", {}, client.name)),
      el("span", { class: "header-side" }, close),
      offline,
      bar,
    ),
    main,
    live,
  );

  // Firefox leaves an element as it is if a part of it is visible: the edge of the window cuts it off, and its outline.
  main.addEventListener("focusin", ({ target }) => {
    if (target.matches(":is(a, button, [type=radio], [type=checkbox]):focus-visible"))
      (target.closest(".choice") ?? target).scrollIntoView({ block: "nearest" });
  });

  /** @param {View} view */
  function show(view, isFirst) {
    const heading = el("h1", { tabindex: "-1" }, view.title);
    back.hidden = !view.back;
    document.title = view.title;
    main.replaceChildren(
      el(
        "div",
        { class: `view ${view.kind ?? "plain"}` },
        view.top,
        heading,
        view.lead && el("p", { class: "lead" }, view.lead),
        view.body,
      ),
    );
    // On the first screen the focus stays with the page around this one.
    if (isFirst) return;
    window.scrollTo(0, 0);
    if (view.focus) view.focus();
    else heading.focus({ preventScroll: true });
  }

  function announce(text) {
    live.textContent = text;
  }

  function showLoading() {
    loadingLabel.hidden = false;
    announce(t("loading"));
  }

  return {
    show,
    announce,
    /** @param {boolean} isBusy the next screen is loading */
    busy: (isBusy) => {
      bar.hidden = !isBusy;
      loadingLabel.hidden = true;
      main.setAttribute("aria-busy", String(isBusy));
      clearTimeout(longWait);
      if (isBusy) longWait = setTimeout(showLoading, LONG_WAIT_MS);
    },
    /** @param {boolean} isOffline requests are not answered */
    setOffline: (isOffline) => {
      const text = isOffline ? t("offline") : "";
      // A screen reader reads the text again whenever it is set.
      if (offline.textContent !== text) offline.textContent = text;
    },
  };
}
