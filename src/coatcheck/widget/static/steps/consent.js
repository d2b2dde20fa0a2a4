/** What is shared, how often, and with whom. Nothing is connected before the user agrees. */

import { el, icon } from "../dom.js";
import { form } from "../form.js";
import { externalLink } from "../components.js";
import { loadPopular } from "./search.js";

export const step = "consent";

export function show(flow) {
  const { t, api, start } = flow;
  loadPopular(flow);
  const { shares, selects_accounts: selects, refreshes, readers, reading_days: days, privacy_url: privacy } = start.consent;
  const access = readers.length
    ? t("consent.readers", { readers: readers.join(", "), days })
    : t("consent.no_readers");
  return {
    title: t("consent.title"),
    lead: t("consent.lead"),
    body: [
      item(
        "bank",
        t("consent.what"),
        el("ul", {}, shares.map((share) => el("li", {}, t(`consent.shares.${share}`)))),
        selects && el("p", {}, t("consent.accounts")),
      ),
      item("clock", t("consent.how_often"), el("p", {}, t(`consent.refreshes.${refreshes}`))),
      item("user", t("consent.who"), el("p", {}, access)),
      item("lock", t("consent.sign_in"), el("p", {}, t("consent.sign_in_text"))),
      form(flow, {
        fields: [],
        submit: t("consent.accept"),
        sending: t("loading"),
        below: el(
          "p",
          { class: "muted centred" },
          t("consent.decline"),
          " ",
          externalLink(t, t("consent.privacy"), privacy),
        ),
        async send() {
          await flow.startAt(await api.post("/consent", { accepted: true }));
        },
      }),
    ],
  };
}

function item(name, title, ...text) {
  return el("section", { class: "consent-item" }, icon(name), el("div", {}, el("h2", {}, title), text));
}
