/** Who asks for what, for how long, and who may read it; nothing is connected before the user agrees. */

import { el } from "../dom.js";
import { form } from "../form.js";
import { icon } from "../icons.js";
import { outside } from "../parts.js";
import { popular } from "./search.js";

export const step = "consent";

export function show(flow) {
  const { t, api, start } = flow;
  popular(flow);
  const { shares, refreshes, readers, reading_days: days, privacy_url: privacy } = start.consent;
  const read = readers.length
    ? t("consent.readers", { readers: new Intl.ListFormat(flow.boot.locale).format(readers), days })
    : t("consent.no_readers");
  return {
    title: t("consent.title"),
    lead: t("consent.lead"),
    body: [
      point(
        "bank",
        t("consent.what"),
        el("ul", {}, shares.map((share) => el("li", {}, t(`consent.shares.${share}`)))),
      ),
      point("clock", t("consent.how_often"), el("p", {}, t(`consent.refreshes.${refreshes}`))),
      point("user", t("consent.who"), el("p", {}, read)),
      point("lock", t("consent.sign_in"), el("p", {}, t("consent.sign_in_text"))),
      form(flow, {
        fields: [],
        submit: t("consent.accept"),
        sending: t("loading"),
        below: el(
          "p",
          { class: "quiet centred" },
          t("consent.decline"),
          " ",
          outside(t, t("consent.privacy"), privacy),
        ),
        async send() {
          await flow.beginAt(await api.post("/consent", { accepted: true }));
        },
      }),
    ],
  };
}

function point(name, title, text) {
  return el("section", { class: "point" }, icon(name), el("div", {}, el("h2", {}, title), text));
}
