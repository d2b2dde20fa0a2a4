/** What was connected here was taken back. */

import { actions, elsewhere, sign } from "../parts.js";

export const step = "deleteMemberSuccess";

export function show(flow, { member }) {
  const { t } = flow;
  return {
    kind: "centred",
    top: sign("check", "good"),
    title: t("removed.title", { bank: member.institution_name }),
    lead: t("removed.lead"),
    body: [actions(elsewhere(flow))],
  };
}
