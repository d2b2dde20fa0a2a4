/** The member is connected. */

import { el, icon } from "../dom.js";
import { accountNote, actions, button, logoPair } from "../components.js";

export const step = "connected";

export async function load({ api }, { member }, signal) {
  return { member, accounts: (await api.get(`/members/${member.guid}/accounts`, signal)).accounts };
}

export function show(flow, { member, accounts }) {
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
    body: [
      accounts.length > 0 &&
        el(
          "ul",
          { class: "accounts", "aria-label": t("accounts.legend") },
          shared(member, accounts).map((account) =>
            el("li", {}, el("strong", {}, account.name), el("span", { class: "muted" }, accountNote(flow, account))),
          ),
        ),
      actions(button(t("done"), finish)),
    ],
  };
}

/** The accounts that the user chose, or all. */
function shared({ selected_account_guids: chosen }, accounts) {
  return accounts.filter(({ guid }) => !chosen.length || chosen.includes(guid));
}
