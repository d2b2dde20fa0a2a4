/** The choice of the account to verify, or of several. */

import { choiceField, form } from "../form.js";
import { accountNote, bankLine } from "../components.js";

/** MX treats the choice as a challenge of the bank. */
export const step = "mfa";

export async function load({ api }, { member }, signal) {
  return { member, accounts: (await api.get(`/members/${member.guid}/accounts`, signal)).accounts };
}

export function show(flow, { member, accounts }) {
  const { t, config } = flow;
  const several = config.select_several_accounts;
  const field = choiceField(t, {
    legend: t("accounts.legend"),
    options: accounts.map((account) => ({
      value: account.guid,
      label: account.name,
      note: accountNote(flow, account),
      isChosen: account.is_selected,
    })),
    several,
  });
  return {
    top: bankLine(member.institution_name, member.institution_logo_url, member.institution_url),
    title: t(several ? "accounts.title_several" : "accounts.title"),
    lead: t(several ? "accounts.lead_several" : "accounts.lead"),
    body: [
      form(flow, {
        fields: [field],
        submit: t("continue"),
        sending: t("loading"),
        async send() {
          const chosen = several ? { account_guids: field.values() } : { account_guid: field.value() };
          flow.post("connect/submitMFA", { member_guid: member.guid });
          await flow.showMember((await flow.api.post(`/members/${member.guid}/account_selection`, chosen)).member);
        },
      }),
    ],
    back: flow.backToSearch,
  };
}
