/** Banks that were connected before, one of which may be verified now. */

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { actions, button, hostOf, picture } from "../parts.js";

export const step = "verifyExistingMember";

export function show(flow, { members }) {
  const { t } = flow;
  return {
    title: t("existing.title"),
    lead: t("existing.lead"),
    body: [
      el("ul", { class: "banks" }, members.filter((member) => member.verification_is_enabled).map((member) => row(flow, member))),
      actions(button(t("existing.other"), () => flow.go("search"), "secondary")),
    ],
  };
}

function row(flow, member) {
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "bank", onclick: () => flow.go("connecting", { member }) },
      picture(member.institution_logo_url, member.institution_name),
      el("span", {}, el("strong", {}, member.name), el("span", { class: "quiet" }, hostOf(member.institution_url))),
      icon("next"),
    ),
  );
}
