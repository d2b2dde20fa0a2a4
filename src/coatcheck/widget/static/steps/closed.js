/** The last screen: the user is done, or has closed the widget. MX has no step for it. */

import { actions, button, statusIcon } from "../components.js";

/**
 * @param {Pick<import("../flow.js").Flow, "t">} flow
 * @param {(() => void) | null} again
 * @param {string} label the key of the text of the button that does it
 */
export function show({ t }, again, label) {
  return {
    kind: "centred",
    top: statusIcon("check", "neutral"),
    title: t("closed.title"),
    lead: t("closed.lead"),
    body: again ? [actions(button(t(label), again, "secondary"))] : [],
  };
}
