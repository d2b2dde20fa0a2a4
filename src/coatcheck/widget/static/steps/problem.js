/** The connection stopped: what happened, and what the user can do about it, in the server's words. */

import { actions, button, outside, sign } from "../parts.js";

export const step = "actionableError";

export function show(flow, { member }, signal) {
  const { t } = flow;
  const { title, text, primary_action: first, secondary_action: second } = member.message;
  return {
    kind: "centred",
    top: sign("alert", "alarm"),
    title,
    lead: text,
    body: [
      actions(
        offer(flow, member, first, "primary"),
        offer(flow, member, second, "secondary"),
        flow.made.has(member.guid) && button(t("remove"), () => remove(flow, member, signal), "quiet"),
      ),
    ],
    back: flow.backToSearch,
  };
}

function offer(flow, member, wanted, rank) {
  if (!wanted) return null;
  const { action, label } = wanted;
  const event = `connect/${member.step === "noEligibleAccounts" ? "invalidData" : "memberError"}/primaryAction`;
  const tell = () => rank === "primary" && flow.post(event, { member_guid: member.guid });
  if (action === "visitInstitution") {
    return outside(flow.t, label, member.institution_url, { class: `button ${rank}`, onclick: tell });
  }
  const proceed = () => {
    tell();
    act(flow, member, action);
  };
  return button(label, proceed, rank);
}

function act(flow, member, action) {
  if (action === "search") flow.backToSearch();
  else if (action === "retry") flow.go("connecting", { member });
  else if (action === "microdeposits") flow.go("microdeposits");
  else if (action !== "done") flow.go(action, { member: { ...member, message: null } });
}

function remove(flow, member, signal) {
  flow.run(signal, async () => {
    await flow.api.delete(`/members/${member.guid}`);
    flow.made.delete(member.guid);
    flow.post("connect/memberDeleted", { member_guid: member.guid });
    await flow.go("removed", { member });
  });
}
