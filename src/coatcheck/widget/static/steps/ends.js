/**
 * The screens of the end: the user is done, the session has expired, a bank may not be read, or an unexpected error. MX has
 * no steps for these.
 */

import { actions, button, statusIcon } from "../components.js";

/**
 * The user is done, or has closed the widget.
 * @param {Pick<import("../flow.js").Flow, "t">} flow
 * @param {(() => void) | null} again
 * @param {string} label the key of the text of the button that does it
 */
export function closed({ t }, again, label) {
  return {
    kind: "centred",
    top: statusIcon("check", "neutral"),
    title: t("closed.title"),
    lead: t("closed.lead"),
    body: again ? [actions(button(t(label), again, "secondary"))] : [],
  };
}

/** The session has expired. Nothing that was typed stays on the page. */
export function expired({ t }) {
  return { kind: "centred", top: statusIcon("clock", "neutral"), title: t("expired.title"), lead: t("expired.lead"), body: [] };
}

/** @param {Pick<import("../flow.js").Flow, "t" | "config" | "backToSearch">} flow */
export function unavailable({ t, config, backToSearch }) {
  return {
    kind: "centred",
    top: statusIcon("alert", "error"),
    title: t("unavailable.title"),
    lead: t("unavailable.lead"),
    body: config.disable_institution_search ? [] : [actions(button(t("search.other"), backToSearch))],
  };
}

/**
 * @param {Pick<import("../flow.js").Flow, "t">} flow
 * @param {() => void} again repeats what failed
 */
export function failed({ t }, again) {
  return {
    kind: "centred",
    top: statusIcon("alert", "error"),
    title: t("failed.title"),
    lead: t("failed.lead"),
    body: [actions(button(t("again"), again))],
  };
}
