/**
 * The small things that screens are made of.
 */

import { el } from "./dom.js";
import { icon } from "./icons.js";

/**
 * @param {string} label
 * @param {(event: Event) => void} onclick
 * @param {"primary" | "secondary" | "quiet"} [rank]
 */
export function button(label, onclick, rank = "primary") {
  return el("button", { type: "button", class: `button ${rank}`, onclick }, label);
}

/** The way to other banks. Where the host forbids the search, it is told that the user is done here. */
export function elsewhere({ t, config, backToSearch }, onclick = backToSearch) {
  return button(t(config.disable_institution_search ? "done" : "search.other"), onclick);
}

/** A link to another site, or nothing where the address is none of the web's. */
export function outside(t, label, url, attributes = {}) {
  const address = webAddress(url);
  if (!address) return null;
  return el(
    "a",
    { href: address, target: "_blank", rel: "noopener noreferrer", ...attributes },
    label,
    icon("leave"),
    el("span", { class: "unseen" }, t("opens_window")),
  );
}

/** @returns {string | null} the address if it is http or https: anything else could be a script */
export function webAddress(url) {
  try {
    const { protocol, href } = new URL(url);
    return protocol === "https:" || protocol === "http:" ? href : null;
  } catch {
    return null;
  }
}

/** A logo, or the initials of who has none. What it shows stands beside it in words. */
export function picture(url, name, size = "") {
  if (url) return el("img", { class: `picture ${size}`, src: url, alt: "" });
  const words = name.split(/\s+/).filter((word) => /^\p{L}/u.test(word));
  const initials = words.slice(0, 2).map((word) => [...word][0].toUpperCase()).join("");
  return el("span", { class: `picture initials ${size}`, "aria-hidden": "true" }, initials || icon("bank"));
}

/**
 * @param {"alarm" | "info"} tone
 * @param {string | null} title
 * @param {string} text
 */
export function notice(tone, title, text, ...more) {
  return el(
    "div",
    { class: `notice ${tone}`, role: tone === "alarm" ? "alert" : null },
    icon(tone === "alarm" ? "alert" : "shield"),
    el("div", {}, title && el("strong", {}, title), text && el("p", {}, text), more),
  );
}

/** A large round sign above a title. */
export function sign(name, tone) {
  return el("div", { class: `sign ${tone}` }, icon(name));
}

/** Buttons, the most important first. */
export function actions(...children) {
  return el("div", { class: "actions" }, children);
}

/** The bank's logo and name above a form. */
export function bankLine(name, logo, url) {
  return el(
    "div",
    { class: "bank-line" },
    picture(logo, name),
    el("div", {}, el("strong", {}, name), el("span", { class: "quiet" }, hostOf(url))),
  );
}

/** A bank to choose from a list. */
export function bankRow({ name, url, logo_url: logo }, onclick) {
  return el(
    "button",
    { type: "button", class: "bank", onclick },
    picture(logo, name),
    el("span", {}, el("strong", {}, name), el("span", { class: "quiet" }, hostOf(url))),
    icon("next"),
  );
}

/** What a person knows a bank's address by. */
function hostOf(url) {
  const address = webAddress(url);
  return address ? new URL(address).hostname.replace(/^www\./, "") : "";
}

/** The client's logo and the bank's, with what is between them. */
export function bridge(client, member, between) {
  return el(
    "div",
    { class: "bridge", "aria-hidden": "true" },
    picture(client.logo_url, client.name),
    between,
    picture(member.institution_logo_url, member.institution_name),
  );
}
