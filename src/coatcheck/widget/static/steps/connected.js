/** It worked: what is connected, and the way out. */

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { actions, bridge, button } from "../parts.js";

export const step = "connected";

export function show(flow, { member }) {
  const { t, client } = flow;
  function finish() {
    flow.post("connect/connected/primaryAction");
    flow.post("connect/memberConnected/primaryAction");
    flow.backToSearch();
  }
  return {
    kind: "centred",
    top: bridge(client, member, el("span", { class: "joint" }, icon("check"))),
    title: t("connected.title", { bank: member.institution_name }),
    lead: t("connected.lead"),
    body: [actions(button(t("done"), finish))],
  };
}
