/** The member is connected. */

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { actions, button, logoPair } from "../components.js";

export const step = "connected";

export function show(flow, { member }) {
  const { t, client } = flow;
  function finish() {
    flow.post("connect/connected/primaryAction");
    flow.post("connect/memberConnected/primaryAction");
    flow.finish();
  }
  return {
    kind: "centred",
    top: logoPair(client, member, el("span", { class: "connected-mark" }, icon("check"))),
    title: t("connected.title", { bank: member.institution_name }),
    lead: t("connected.lead"),
    body: [actions(button(t("done"), finish))],
  };
}
