/** The bank's sign-in form, for a new member or for other credentials. */

import { form, textField } from "../form.js";
import { el } from "../dom.js";
import { bankLine, externalLink, notice } from "../components.js";

export const step = "enterCreds";

const PASSWORD = 1;
/** The form's text for an error, by its type. */
const ERROR_TEXTS = {
  invalid_request: "credentials.refused",
  constraint_not_met: "credentials.too_many",
  duplicate_member: "credentials.duplicate",
  job_running: "credentials.busy",
};

export async function load({ api }, { member, institution }, signal) {
  const path = member ? `/members/${member.guid}` : `/institutions/${institution.guid}`;
  const [{ credentials }, found] = await Promise.all([
    api.get(`${path}/credentials`, signal),
    institution ?? api.get(`/institutions/${member.institution_guid}`, signal),
  ]);
  return { member, institution: found, credentials: credentials.sort((a, b) => a.display_order - b.display_order) };
}

export function show(flow, { member, institution, credentials }, signal) {
  const { t } = flow;
  const { name } = institution;
  const fields = credentials.map((credential) => field(t, credential, flow.typed.get(credential.guid)));
  const isAgain = credentials.some(({ guid }) => flow.typed.has(guid));
  return {
    top: bankLine(name, institution.logo_url, institution.url),
    title: member ? t("credentials.again", { bank: name }) : t("credentials.title", { bank: name }),
    body: [
      member?.message && notice("error", member.message.title, member.message.text),
      institution.instructional_text && el("p", { class: "lead" }, institution.instructional_text),
      form(flow, {
        fields,
        submit: t("continue"),
        sending: t("credentials.sending"),
        explain: (error) => ERROR_TEXTS[error.type] && t(ERROR_TEXTS[error.type]),
        below: help(t, institution),
        send: () => {
          const values = credentials.map(({ guid }, index) => ({ guid, value: fields[index].value() }));
          credentials.forEach(({ guid, field_type: type }, index) => {
            if (type !== PASSWORD) flow.typed.set(guid, fields[index].value());
          });
          return member ? update(flow, institution, member, values) : create(flow, institution, values, signal);
        },
      }),
      el("p", { class: "security-note" }, t("credentials.security", { bank: name })),
    ],
    back: flow.backToSearch,
    // What was typed is kept, so the first field that must be typed again comes next.
    focus: isAgain ? () => (fields.find((each) => !each.value()) ?? fields[0]).focus() : undefined,
  };
}

function field(t, { label, field_type: type }, typed = "") {
  const isSecret = type === PASSWORD;
  return textField(t, {
    label,
    input: isSecret
      ? { type: "password", autocomplete: "current-password" }
      : { autocomplete: "username", value: typed },
  });
}

function help(t, institution) {
  const links = [
    externalLink(t, t("credentials.forgot_password"), institution.forgot_password_credential_recovery_url),
    externalLink(t, t("credentials.forgot_username"), institution.forgot_username_credential_recovery_url),
    externalLink(t, t("credentials.trouble"), institution.trouble_signing_credential_recovery_url),
  ].filter(Boolean);
  return links.length ? el("p", { class: "links" }, links) : null;
}

async function create(flow, institution, credentials, signal) {
  const { code, guid } = institution;
  flow.post("connect/enterCredentials", { institution: { code, guid } });
  try {
    const { member } = await flow.api.post("/members", { institution_guid: guid, credentials });
    flow.createdMembers.add(member.guid);
    await flow.showMember(member);
  } catch (error) {
    if (error.type === "duplicate_member") {
      await connectExisting(flow, institution, await flow.api.get(`/members/${error.guid}`, signal), credentials);
      return;
    }
    flow.post("connect/createMemberError", { institution_guid: guid, institution_code: code });
    throw error;
  }
}

/** The login is connected already: shows its running job, or connects it again. */
async function connectExisting(flow, institution, member, credentials) {
  flow.announce(flow.t("credentials.duplicate"));
  if (member.is_being_aggregated) await flow.showMember(member);
  else await update(flow, institution, member, credentials);
}

async function update(flow, { code, guid }, member, credentials) {
  flow.post("connect/updateCredentials", { member_guid: member.guid, institution: { code, guid } });
  const answer = await flow.api.put(`/members/${member.guid}`, { credentials });
  await flow.showMember(answer.member);
}
