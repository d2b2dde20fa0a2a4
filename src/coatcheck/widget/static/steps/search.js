/** The list of banks: the most popular first, or what fits a name or a routing number. */

import { el } from "../dom.js";
import { icon } from "../icons.js";
import { actions, button, hostOf, notice, picture } from "../parts.js";
import { pause } from "../wait.js";

export const step = "search";

const DEBOUNCE_MS = 300;
const ROUTING_DIGITS = 9;
const SKELETON_ROWS = 6;

export function show(flow, _, signal) {
  const { t, api } = flow;
  const list = el("ul", { class: "banks", onkeydown: (event) => moveFocus(event, input) });
  const under = el("div", { class: "under" });
  const caption = el("p", { class: "caption", id: "caption" });
  const input = el("input", {
    type: "search",
    id: "search",
    placeholder: t("search.placeholder"),
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    enterkeyhint: "search",
    maxlength: 100,
    "aria-describedby": "caption",
    oninput: typed,
    onkeydown: (event) => {
      if (event.key === "Escape" && input.value) {
        event.preventDefault();
        input.value = "";
        typed();
      } else moveFocus(event, input, list);
    },
  });
  let latest = new AbortController();
  signal.addEventListener("abort", () => latest.abort());

  function typed() {
    const query = input.value.trim();
    latest.abort();
    latest = new AbortController();
    const isRouting = /^\d+$/.test(query);
    if (isRouting && query.length !== ROUTING_DIGITS) caption.textContent = t("search.routing_hint");
    else if (query.length !== 1) find(query, isRouting, latest.signal);
  }

  function find(query, isRouting, current) {
    flow.run(current, async () => {
      if (query) {
        await pause(DEBOUNCE_MS, current);
        flow.post("connect/institutionSearch", { query });
      }
      const filter = new URLSearchParams(query && { [isRouting ? "routing_number" : "search_name"]: query });
      list.setAttribute("aria-busy", "true");
      const found = query ? await page(filter, 1, current) : await popular(flow);
      current.throwIfAborted();
      caption.textContent = query ? t("search.results") : t("search.popular");
      list.replaceChildren();
      list.setAttribute("aria-busy", "false");
      if (query) flow.announce(count(found.institutions.length, found.total_pages));
      if (found.institutions.length) add(found, filter, current);
      else under.replaceChildren(nothing(query));
    });
  }

  function page(filter, number, current) {
    filter.set("page", String(number));
    return api.get(`/institutions?${filter}`, current);
  }

  function add({ institutions, page: number, total_pages: pages }, filter, current) {
    const rows = institutions.map((institution) => row(institution, () => choose(flow, institution)));
    list.append(...rows);
    const more = number < pages && button(t("search.more"), next, "secondary");
    under.replaceChildren(...(more ? [actions(more)] : []));
    return rows;

    function next() {
      flow.run(current, async () => {
        more.setAttribute("aria-disabled", "true");
        const rest = add(await page(filter, number + 1, current), filter, current);
        rest[0]?.firstChild.focus();
      });
    }
  }

  function count(found, pages) {
    if (pages > 1) return t("search.many");
    return found === 1 ? t("search.one") : t("search.count", { count: found });
  }

  function nothing(query) {
    return notice("info", t("search.nothing", { query }), t("search.nothing_text"));
  }

  list.append(...Array.from({ length: SKELETON_ROWS }, skeleton));
  list.setAttribute("aria-busy", "true");
  find("", false, latest.signal);

  return {
    title: t("search.title"),
    body: [
      el(
        "div",
        { class: "finder" },
        el("label", { class: "unseen", for: "search" }, t("search.label")),
        el("div", { class: "input" }, icon("search"), input),
        caption,
      ),
      list,
      under,
      flow.start.microdeposits_enabled &&
        actions(button(t("search.by_numbers"), () => flow.go("microdeposits"), "quiet")),
    ],
    back: flow.start.step === "verifyExistingMember" ? () => flow.go("verifyExistingMember", flow.start) : undefined,
  };
}

/** The first page of all of them, which is asked for once. */
export function popular(flow) {
  flow.popular ??= flow.api.get("/institutions?page=1");
  flow.popular.catch(() => {
    flow.popular = null;
  });
  return flow.popular;
}

/** Where an institution is signed in to, and that it was chosen. */
export function choose(flow, institution) {
  const { code, guid, name, url } = institution;
  flow.post("connect/selectedInstitution", { code, guid, name, url: url ?? "" });
  flow.go(institution.supports_oauth ? "oauth" : "enterCreds", { institution });
}

function row(institution, onclick) {
  return el(
    "li",
    {},
    el(
      "button",
      { type: "button", class: "bank", onclick },
      picture(institution.logo_url, institution.name),
      el("span", {}, el("strong", {}, institution.name), el("span", { class: "quiet" }, hostOf(institution.url))),
      icon("next"),
    ),
  );
}

function skeleton() {
  return el("li", { class: "bank skeleton", "aria-hidden": "true" }, el("span", { class: "picture" }), el("span", {}));
}

/** Up, down, home and end walk from the box through the list; Tab works as everywhere. */
function moveFocus(event, input, list = event.currentTarget) {
  const banks = [...list.querySelectorAll("button")];
  const at = banks.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: banks.length - 1 }[event.key];
  if (to === undefined || (at < 0 && event.key !== "ArrowDown")) return;
  event.preventDefault();
  (banks[to] ?? (to < 0 ? input : banks[at]))?.focus();
}
