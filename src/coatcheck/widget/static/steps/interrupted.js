/** The screens of an expired session, of a bank that may not be read, and of an unexpected error. MX has no steps for these. */

import { actions, button, statusIcon } from "../components.js";

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
