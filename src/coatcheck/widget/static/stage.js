/**
 * The frame that stays while screens come and go: whose page it is, the way back, what is announced.
 */

import { el } from "./dom.js";
import { icon } from "./icons.js";
import { picture } from "./parts.js";

/**
 * What a screen shows.
 * @typedef {object} View
 * @property {string} title
 * @property {import("./dom.js").Child} [lead] one paragraph below the title
 * @property {import("./dom.js").Child} [top] what stands above the title
 * @property {import("./dom.js").Child[]} body
 * @property {string} [kind] "plain" (from the top) or "centred"
 * @property {() => void} [back] none where there is no way back
 */

/** A wait that takes longer is put into words. */
const LONG_MS = 800;

export function createStage(root, { client, t, onBack }) {
  const back = el(
    "button",
    { type: "button", class: "icon-button", "aria-label": t("back"), hidden: true, onclick: onBack },
    icon("back"),
  );
  const words = el("span", { class: "moment", "aria-hidden": "true", hidden: true }, t("loading"));
  const bar = el("div", { class: "progress", hidden: true }, el("i"), words);
  const trouble = el("p", { class: "trouble", role: "status" });
  const live = el("p", { class: "unseen", role: "status" });
  const main = el("main");
  let long = 0;
  const side = () => el("span", { class: "side" });
  root.replaceChildren(
    el(
      "header",
      {},
      el("span", { class: "side" }, back),
      el("span", { class: "client" }, picture(client.logo_url, client.name, "small"), el("span", {}, client.name)),
      side(),
      trouble,
      bar,
    ),
    main,
    live,
  );

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
    // The page around this one keeps the focus until the user has come here.
    if (isFirst) return;
    window.scrollTo(0, 0);
    heading.focus({ preventScroll: true });
  }

  function announce(text) {
    live.textContent = text;
  }

  function sayMoment() {
    words.hidden = false;
    announce(t("loading"));
  }

  return {
    show,
    announce,
    /** @param {boolean} isBusy the next screen is on its way */
    busy: (isBusy) => {
      bar.hidden = !isBusy;
      words.hidden = true;
      main.setAttribute("aria-busy", String(isBusy));
      clearTimeout(long);
      if (isBusy) long = setTimeout(sayMoment, LONG_MS);
    },
    /** @param {boolean} isCutOff no answers come */
    cutOff: (isCutOff) => {
      const said = isCutOff ? t("offline") : "";
      // Said anew with each try, it would be read out anew.
      if (trouble.textContent !== said) trouble.textContent = said;
    },
  };
}
