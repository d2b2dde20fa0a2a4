/** The connection was removed. */

import { actions, otherBankButton, statusIcon } from "../components.js";

export const step = "deleteMemberSuccess";

export function show(flow, { member }) {
  const { t } = flow;
  return {
    kind: "centred",
    top: statusIcon("check", "success"),
    title: t("removed.title", { bank: member.institution_name }),
    lead: t("removed.lead"),
    body: [actions(otherBankButton(flow))],
  };
}
