/** Asks before a connection is removed. */

import { actions, button, statusIcon } from "../components.js";

export const step = "deleteMemberSurvey";

export function show(flow, { member }, signal) {
  const { t } = flow;
  const keepIt = () => flow.go(member.step, { member });
  function remove() {
    flow.run(signal, async () => {
      await flow.api.delete(`/members/${member.guid}`);
      flow.createdMembers.delete(member.guid);
      flow.post("connect/memberDeleted", { member_guid: member.guid });
      await flow.go("removed", { member });
    });
  }
  return {
    kind: "centred",
    top: statusIcon("alert", "neutral"),
    title: t("removal.title", { bank: member.institution_name }),
    lead: t("removal.lead"),
    body: [actions(button(t("removal.confirm"), remove), button(t("removal.keep"), keepIt, "secondary"))],
    back: keepIt,
  };
}
