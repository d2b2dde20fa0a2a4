/** Banks that are connected already and can be verified. */

import { el } from "../dom.js";
import { actions, bankRow, button } from "../components.js";

export const step = "verifyExistingMember";

export function show(flow, { members }) {
  const { t } = flow;
  const usable = members.filter((member) => member.verification_is_enabled);
  return {
    title: t("existing.title"),
    lead: t("existing.lead"),
    body: [
      el("ul", { class: "banks" }, usable.map((member) => el("li", {}, row(flow, member)))),
      actions(button(t("existing.other"), () => flow.go("search"), "secondary")),
    ],
  };
}

function row(flow, member) {
  const { name, institution_url: url, institution_logo_url: logo } = member;
  return bankRow({ name, url, logo_url: logo }, () => flow.go("connecting", { member }));
}
