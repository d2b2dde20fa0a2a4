/** The connection stopped: the server's message, with what the user can do. */

import { actions, button, externalLink, statusIcon } from "../components.js";

export const step = "actionableError";

export function show(flow, { member }) {
  const { t } = flow;
  const { title, text, primary_action: first, secondary_action: second, tertiary_action: third } = member.message;
  return {
    kind: "centred",
    top: statusIcon("alert", "error"),
    title,
    lead: text,
    body: [
      actions(
        actionButton(flow, member, first, "primary"),
        actionButton(flow, member, second, "secondary"),
        actionButton(flow, member, third, "tertiary"),
        flow.createdMembers.has(member.guid) && button(t("remove"), () => flow.go("removal", { member }), "tertiary"),
      ),
    ],
    back: flow.backToSearch,
  };
}

function actionButton(flow, member, offered, rank) {
  if (!offered) return null;
  const { action, label } = offered;
  const event = `connect/${member.step === "noEligibleAccounts" ? "invalidData" : "memberError"}/primaryAction`;
  const report = () => rank === "primary" && flow.post(event, { member_guid: member.guid });
  if (action === "visitInstitution") {
    return externalLink(flow.t, label, member.institution_url, { class: `button ${rank}`, onclick: report });
  }
  const proceed = () => {
    report();
    perform(flow, member, action);
  };
  return button(label, proceed, rank);
}

function perform(flow, member, action) {
  if (action === "search") flow.backToSearch();
  else if (action === "retry") flow.go("connecting", { member });
  else if (action === "microdeposits") flow.go("microdeposits");
  else if (action !== "done") flow.go(action, { member: { ...member, message: null } });
}
