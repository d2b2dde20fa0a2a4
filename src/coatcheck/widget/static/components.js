/**
 * The components of the screens.
 */

import { el, icon } from "./dom.js";

/**
 * @param {string} label
 * @param {(event: Event) => void} onclick
 * @param {"primary" | "secondary" | "tertiary"} [rank]
 */
export function button(label, onclick, rank = "primary") {
  return el("button", { type: "button", class: `button ${rank}`, onclick }, label);
}

/** A button to the search. Where the client forbids the search, a Done button instead. */
export function otherBankButton({ t, config, backToSearch }, onclick = backToSearch) {
  return button(t(config.disable_institution_search ? "done" : "search.other"), onclick);
}

/** A link to another site, or null if the URL is not http or https. */
export function externalLink(t, label, url, attributes = {}) {
  const address = webAddress(url);
  if (!address) return null;
  return el(
    "a",
    { href: address, target: "_blank", rel: "noopener noreferrer", ...attributes },
    label,
    icon("leave"),
    el("span", { class: "visually-hidden" }, t("opens_window")),
  );
}

/** @returns {string | null} the URL if it is http or https; any other could be a script */
export function webAddress(url) {
  try {
    const { protocol, href } = new URL(url);
    return protocol === "https:" || protocol === "http:" ? href : null;
  } catch {
    return null;
  }
}

/** A logo, or initials in its place. It has no alternative text, because the name is beside it. */
export function logoImage(url, name, size = "") {
  // Lazy: the browser draws the names of a long list before it decodes the logos.
  if (url) return el("img", { class: `logo ${size}`, loading: "lazy", src: url, alt: "" });
  const words = name.split(/\s+/).filter((word) => /^\p{L}/u.test(word));
  const initials = words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");
  return el("span", { class: `logo initials ${size}`, "aria-hidden": "true" }, initials || icon("bank"));
}

/**
 * @param {"error" | "info"} tone
 * @param {string | null} title
 * @param {string} text
 */
export function notice(tone, title, text, ...more) {
  return el(
    "div",
    { class: `notice ${tone}`, role: tone === "error" ? "alert" : null },
    icon(tone === "error" ? "alert" : "shield"),
    el("div", {}, title && el("strong", {}, title), text && el("p", {}, text), more),
  );
}

/** A large round icon above a title. */
export function statusIcon(name, tone) {
  return el("div", { class: `status-icon ${tone}` }, icon(name));
}

/** A group of buttons, the most important first. */
export function actions(...children) {
  return el("div", { class: "actions" }, children);
}

/** The bank's logo and name above a form. */
export function bankLine(name, logo, url) {
  return el(
    "div",
    { class: "bank-line" },
    logoImage(logo, name),
    el("div", {}, el("strong", {}, name), el("span", { class: "muted" }, hostOf(url))),
  );
}

/** A bank to choose from a list. */
export function bankRow({ name, url, logo_url: logo }, onclick) {
  return el(
    "button",
    { type: "button", class: "bank", onclick },
    logoImage(logo, name),
    el("span", {}, el("strong", {}, name), el("span", { class: "muted" }, hostOf(url))),
    icon("next"),
  );
}

/** The host of a bank's URL as people write it. */
function hostOf(url) {
  const address = webAddress(url);
  return address ? new URL(address).hostname.replace(/^www\./, "") : "";
}

/** The type, the last digits and the balance of an account. */
export function accountNote({ t, boot }, { account_type: type, account_number: digits, balance, currency_code: currency }) {
  const number = [type && t(`accounts.type_${type}`), digits && `···· ${digits}`].filter(Boolean).join(" ");
  return [number, balance !== null && money(boot.locale, balance, currency)].filter(Boolean).join(" · ");
}

/** An amount in the user's language. ISO 4217 XXX: no currency is stated. */
export function money(locale, amount, currency) {
  const style = currency && currency !== "XXX" ? { style: "currency", currency } : { minimumFractionDigits: 2 };
  return new Intl.NumberFormat(locale, style).format(amount);
}

/** The logos of the client and the bank, with an element between them. */
export function logoPair(client, member, between) {
  return el(
    "div",
    { class: "logos", "aria-hidden": "true" },
    logoImage(client.logo_url, client.name),
    between,
    logoImage(member.institution_logo_url, member.institution_name),
  );
}
