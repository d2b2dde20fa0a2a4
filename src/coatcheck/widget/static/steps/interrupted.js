/** Where the flow cannot go on by itself. MX has no steps for these. */

import { actions, button, sign } from "../parts.js";

/** The session has come to its end: nothing here works any more, and nothing that was typed stays. */
export function over({ t }) {
  return { kind: "centred", top: sign("clock", "calm"), title: t("expired.title"), lead: t("expired.lead"), body: [] };
}

/**
 * @param {Pick<import("../flow.js").Flow, "t">} flow
 * @param {() => void} again goes on where it stopped
 */
export function failed({ t }, again) {
  return {
    kind: "centred",
    top: sign("alert", "alarm"),
    title: t("failed.title"),
    lead: t("failed.lead"),
    body: [actions(button(t("again"), again))],
  };
}
