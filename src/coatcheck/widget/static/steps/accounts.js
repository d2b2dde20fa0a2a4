/** The choice of the account to verify. */

import { choiceField, form } from "../form.js";
import { accountNote, bankLine } from "../components.js";

/** MX treats the choice as a challenge of the bank. */
export const step = "mfa";

export async function load({ api }, { member }, signal) {
  return { member, accounts: (await api.get(`/members/${member.guid}/accounts`, signal)).accounts };
}

export function show(flow, { member, accounts }) {
  const { t } = flow;
  const field = choiceField(t, {
    legend: t("accounts.legend"),
    options: accounts.map((account) => ({
      value: account.guid,
      label: account.name,
      note: accountNote(flow, account),
    })),
  });
  return {
    top: bankLine(member.institution_name, member.institution_logo_url, member.institution_url),
    title: t("accounts.title"),
    lead: t("accounts.lead"),
    body: [
      form(flow, {
        fields: [field],
        submit: t("continue"),
        sending: t("loading"),
        async send() {
          const chosen = { account_guid: field.value() };
          flow.post("connect/submitMFA", { member_guid: member.guid });
          await flow.showMember((await flow.api.post(`/members/${member.guid}/account_selection`, chosen)).member);
        },
      }),
    ],
    back: flow.backToSearch,
  };
}
