/** The bank's challenges: a text, a code, a choice of answers or of images. */

import { el } from "../dom.js";
import { choiceField, form, textField } from "../form.js";
import { bankLine } from "../components.js";

export const step = "mfa";

const OPTIONS = 2;
const TOKEN = 12;
const IMAGE_OPTIONS = 14;

export function show(flow, { member }) {
  const { t } = flow;
  const challenges = member.mfa.credentials;
  const fields = challenges.map((challenge) => field(t, challenge));
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
        async send() {
          const credentials = challenges.map(({ guid }, index) => ({ guid, value: fields[index].value() }));
          flow.post("connect/submitMFA", { member_guid: member.guid });
          try {
            await flow.showMember((await flow.api.put(`/members/${member.guid}/mfa`, { credentials })).member);
          } catch (error) {
            if (error.status !== 409) throw error;
            // The challenge has expired, or was answered in another window.
            await flow.showMember(await flow.api.get(`/members/${member.guid}`));
          }
        },
      }),
    ],
    back: flow.backToSearch,
  };
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
