/** The bank's challenges: a text, a code, a choice of answers or of images. */

import { el } from "../dom.js";
import { choiceField, form, textField } from "../form.js";
import { bankLine, button } from "../components.js";

export const step = "mfa";

const OPTIONS = 2;
const TOKEN = 12;
const IMAGE_OPTIONS = 14;

export function show(flow, { member }, signal) {
  const { t } = flow;
  const challenges = member.mfa.credentials;
  const fields = challenges.map((challenge) => field(t, challenge));

  async function send(credentials) {
    flow.post("connect/submitMFA", { member_guid: member.guid });
    try {
      await flow.showMember((await flow.api.put(`/members/${member.guid}/mfa`, { credentials })).member);
    } catch (error) {
      if (error.status !== 409) throw error;
      // The challenge has expired, or was answered in another window.
      await flow.showMember(await flow.api.get(`/members/${member.guid}`));
    }
  }

  return {
    top: bankLine(member.institution_name, member.institution_logo_url, member.institution_url),
    title: challenges.every(({ field_type: type }) => type === TOKEN) ? t("mfa.title_code") : t("mfa.title"),
    lead: t(member.mfa.is_asked_again ? "mfa.again" : "mfa.lead", { bank: member.institution_name }),
    body: [
      form(flow, {
        fields,
        submit: t("continue"),
        sending: t("mfa.sending"),
        explain: (error) => (error.status === 400 ? t("mfa.refused") : null),
        below: challenges.length === 1 && insteadOfCode(flow, challenges[0], signal, send),
        send: () => send(challenges.map(({ guid }, index) => ({ guid, value: fields[index].value() }))),
      }),
    ],
    back: flow.backToSearch,
  };
}

/** What the user can ask for instead of entering a code: a new code, or another way to get it. */
function insteadOfCode(flow, { guid, field_type: type, options }, signal, send) {
  if (type !== TOKEN) return null;
  return options.map(({ guid: value, label }) =>
    button(label, () => flow.run(signal, () => send([{ guid, value }])), "tertiary"),
  );
}

function field(t, { label, field_type: type, options, image_data: image }) {
  if (type === OPTIONS || type === IMAGE_OPTIONS) {
    const choices = options.map((option) => ({ value: option.guid, label: option.label, image: option.data_uri }));
    return choiceField(t, { legend: label, options: choices });
  }
  return textField(t, {
    label,
    above: image && el("img", { class: "challenge-image", src: image, alt: t("mfa.picture") }),
    input: { autocomplete: type === TOKEN ? "one-time-code" : "off" },
  });
}
