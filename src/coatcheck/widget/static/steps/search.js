/** The list of banks: the most popular first, or those that match a name or a routing number. */

import { pause } from "../api.js";
import { el, icon } from "../dom.js";
import { actions, bankRow, button, notice } from "../components.js";

export const step = "search";

const DEBOUNCE_MS = 300;
const ROUTING_DIGITS = 9;
const SKELETON_ROWS = 6;

export function show(flow, _, signal) {
  const { t, start } = flow;
  const results = createResults(flow);
  const input = searchBox(t, results.list, search);
  let latest = new AbortController();
  signal.addEventListener("abort", () => latest.abort());

  function search() {
    latest.abort();
    latest = new AbortController();
    results.find(input.value.trim(), latest.signal);
  }

  search();
  return {
    title: t("search.title"),
    body: [
      el(
        "div",
        { class: "search-box" },
        el("label", { class: "visually-hidden", for: input.id }, t("search.label")),
        el("div", { class: "input" }, icon("search"), input),
        results.caption,
      ),
      results.list,
      results.below,
      results.alternatives,
    ],
    back: start.step === "verifyExistingMember" ? () => flow.go(start.step, start) : undefined,
  };
}

/** The first page of all banks, which is fetched once. */
export function loadPopular(flow) {
  flow.popular ??= flow.api.get("/institutions?page=1");
  flow.popular.catch(() => {
    flow.popular = null;
  });
  return flow.popular;
}

/** Shows the sign-in of an institution, and posts the choice to the host. */
export function choose(flow, institution) {
  const { code, guid, name, url } = institution;
  flow.post("connect/selectedInstitution", { code, guid, name, url: url ?? "" });
  flow.go(institution.supports_oauth ? "oauth" : "enterCreds", { institution });
}

function searchBox(t, list, search) {
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
    oninput: search,
    onkeydown: clearOrChoose,
  });

  function clearOrChoose(event) {
    const first = list.querySelector("button");
    if (event.key === "Escape" && input.value) {
      event.preventDefault();
      input.value = "";
      search();
    } else if (event.key === "Enter" && input.value && first && list.getAttribute("aria-busy") === "false") {
      event.preventDefault();
      first.click();
    }
  }

  for (const element of [input, list]) element.addEventListener("keydown", (event) => moveFocus(event, input, list));
  return input;
}

/** The arrow keys, Home and End move between the search field and the list. */
function moveFocus(event, input, list) {
  const banks = [...list.querySelectorAll("button")];
  const at = banks.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: banks.length - 1 }[event.key];
  if (to === undefined || (at < 0 && event.key !== "ArrowDown")) return;
  event.preventDefault();
  if (to < 0) input.focus();
  else banks[to]?.focus();
}

/** The results, with a caption above and messages or buttons below. */
function createResults(flow) {
  const { t, api } = flow;
  const caption = el("p", { class: "caption", id: "caption" }, t("loading"));
  const list = el("ul", { class: "banks", "aria-busy": "true" }, Array.from({ length: SKELETON_ROWS }, skeleton));
  const below = el("div", { class: "after-results" });
  // Hidden until the list has its length, so that the buttons do not move.
  const alternatives = actions(
    flow.start.microdeposits_enabled && button(t("search.by_numbers"), () => flow.go("microdeposits"), "tertiary"),
    flow.start.statement_files_enabled && button(t("search.by_file"), () => flow.go("statementFiles"), "tertiary"),
  );
  alternatives.hidden = true;

  /** @param {AbortSignal} signal is aborted by the next search */
  function find(query, signal) {
    const isRouting = /^\d+$/.test(query);
    if (isRouting && query.length !== ROUTING_DIGITS) {
      list.setAttribute("aria-busy", "false");
      list.replaceChildren();
      below.replaceChildren();
      caption.textContent = t("search.routing_hint");
    } else {
      // While the results are those of an earlier text, Enter chooses none of them.
      list.setAttribute("aria-busy", "true");
      // A single letter is not searched for.
      flow.run(signal, () => search(query.length > 1 ? query : "", isRouting, signal));
    }
  }

  async function search(query, isRouting, signal) {
    if (query) {
      await pause(DEBOUNCE_MS, signal);
      flow.post("connect/institutionSearch", { query });
    }
    list.setAttribute("aria-busy", "true");
    caption.textContent = t("loading");
    const filter = new URLSearchParams(query && { [isRouting ? "routing_number" : "search_name"]: query });
    const page = query ? await fetchPage(filter, 1, signal) : await loadPopular(flow);
    signal.throwIfAborted();
    list.setAttribute("aria-busy", "false");
    list.replaceChildren();
    alternatives.hidden = false;
    const isEmpty = !page.institutions.length;
    caption.textContent = query ? t("search.results") : t(isEmpty ? "search.none" : "search.popular");
    if (query) flow.announce(count(flow, page));
    if (!isEmpty) add(page, filter, signal);
    else if (query) below.replaceChildren(notice("info", t("search.nothing", { query }), t("search.nothing_text")));
    else below.replaceChildren(notice("info", null, t("search.none_text")));
  }

  function fetchPage(filter, number, signal) {
    filter.set("page", String(number));
    return api.get(`/institutions?${filter}`, signal);
  }

  function add({ institutions, page, total_pages: pages }, filter, signal) {
    const rows = institutions.map((institution) => el("li", {}, bankRow(institution, () => choose(flow, institution))));
    list.append(...rows);
    below.replaceChildren(...(page < pages ? [actions(button(t("search.more"), more, "secondary"))] : []));
    return rows;

    function more({ target }) {
      target.disabled = true;
      flow.run(signal, async () => {
        const next = add(await fetchPage(filter, page + 1, signal), filter, signal);
        next[0]?.firstChild.focus();
      });
    }
  }

  return { caption, list, below, alternatives, find };
}

function count({ t, boot }, { institutions: { length }, total_pages: pages }) {
  if (pages > 1) return t("search.many");
  // In French, zero takes the singular.
  const isOne = new Intl.PluralRules(boot.locale).select(length) === "one";
  return t(isOne ? "search.one" : "search.count", { count: length });
}

function skeleton() {
  return el("li", { class: "bank skeleton", "aria-hidden": "true" }, el("span", { class: "logo" }), el("span", {}));
}
