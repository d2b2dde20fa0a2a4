/** Asks before a connection is removed, and says that it was. */

import { actions, button, otherBankButton, statusIcon } from "../components.js";

/** @type {import("../flow.js").Screen} */
export const question = { step: "deleteMemberSurvey", show: ask };

/** @type {import("../flow.js").Screen} */
export const removed = { step: "deleteMemberSuccess", show: confirm };

function ask(flow, { member }, signal) {
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

function confirm(flow, { member }) {
  const { t } = flow;
  return {
    kind: "centred",
    top: statusIcon("check", "success"),
    title: t("removed.title", { bank: member.institution_name }),
    lead: t("removed.lead"),
    body: [actions(otherBankButton(flow))],
  };
}
