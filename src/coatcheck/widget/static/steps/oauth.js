/**
 * Signing in on the bank's own page, in a window that the click opens; meanwhile this page asks how it went.
 *
 *     intro --click--> waiting --granted--> wherever the member stands
 *                        |  `--refused--> refused
 *                        `--window closed--> try again; who had finished is taken on all the same
 */

import { el } from "../dom.js";
import { actions, bankLine, button, notice, outside, sign, webAddress } from "../parts.js";
import { pause } from "../wait.js";

export const step = ({ isNews }) => (isNews ? "oauthError" : "enterCreds");

const PENDING = 1;
const GRANTED = 2;
const LOOK_MS = 1000;
/** Looks that a window which seems closed is given: its last page may have been faster than we were. */
const LOOKS_AFTER_CLOSING = 3;

export async function load({ api }, { member, institution, refused }, signal) {
  const whole = institution ?? (await api.get(`/institutions/${member.institution_guid}`, signal));
  return { member, institution: whole, refused: refused ?? member?.message, isNews: Boolean(refused) };
}

export function show(flow, { member, institution, refused }, signal) {
  const { t } = flow;
  const bank = institution.name;
  const place = el("div", { class: "changing", tabindex: "-1" });
  let current = member;
  let visit = new AbortController();
  signal.addEventListener("abort", () => visit.abort());

  function put(...nodes) {
    const hadFocus = place.contains(document.activeElement);
    place.replaceChildren(...nodes.filter(Boolean));
    if (hadFocus) place.focus({ preventScroll: true });
  }

  function cancel() {
    if (flow.config.disable_institution_search) flow.go("oauth", { member: current, institution });
    else flow.backToSearch();
  }

  /** Runs in the click: later, no browser would let a window open. */
  function goToBank() {
    visit.abort();
    visit = new AbortController();
    const opened = flow.config.is_mobile_webview ? null : openBlank(visit.signal);
    put(...waiting(t, bank, cancel));
    flow.announce(t("oauth.opening", { bank }));
    flow.run(visit.signal, () => accompany(opened, visit.signal));
  }

  async function accompany(opened, ended) {
    current ??= await create(flow, institution);
    const guid = current.guid;
    const url = await addressOf(flow, current, ended);
    current = { guid };
    opened?.location.replace(url);
    flow.post("connect/oauthRequested", { url, member_guid: guid });
    put(...waiting(t, bank, cancel, url, Boolean(opened)));
    flow.announce(t("oauth.waiting", { bank }));
    const state = await outcome(flow, guid, opened, ended, () => {
      put(notice("info", t("oauth.closed"), t("oauth.closed_text", { bank })), retry(flow, goToBank));
      flow.announce(t("oauth.closed"));
    });
    await conclude(flow, institution, state, await flow.api.get(`/members/${guid}`, ended));
  }

  if (refused) put(el("p", { class: "lead" }, refused.text), retry(flow, goToBank));
  else put(...intro(t, institution, goToBank));

  return {
    kind: refused ? "centred" : "plain",
    top: refused ? sign("alert", "alarm") : bankLine(bank, institution.logo_url, institution.url),
    title: refused ? refused.title : t("oauth.title", { bank }),
    body: [place],
    back: flow.backToSearch,
  };
}

// --- what it shows ------------------------------------------------------------------------------------------

function intro(t, { name: bank, instructional_text: instructions }, goToBank) {
  const ways = ["oauth.step_1", "oauth.step_2", "oauth.step_3"];
  return [
    instructions && el("p", { class: "lead" }, instructions),
    el("ol", { class: "ways" }, ways.map((key) => el("li", {}, t(key, { bank })))),
    actions(button(t("oauth.open", { bank }), goToBank)),
  ];
}

/** With the address of the bank's page, once it is known: a link to it is there in case no window came up. */
function waiting(t, bank, cancel, url, isOpen = true) {
  const rank = isOpen ? "secondary" : "primary";
  return [
    el("p", { class: "waiting" }, el("span", { class: "spinner" }), t("oauth.waiting", { bank })),
    actions(
      outside(t, t("oauth.open_here", { bank }), url, { class: `button ${rank}` }),
      button(t("cancel"), cancel, "quiet"),
    ),
  ];
}

function retry({ t, config, backToSearch }, goToBank) {
  const another = !config.disable_institution_search && button(t("search.other"), backToSearch, "quiet");
  return actions(button(t("oauth.again"), goToBank), another);
}

// --- what it does -------------------------------------------------------------------------------------------

/** A window of ours that is sent to the bank later, and from there cannot reach back into this page. */
function openBlank(ended) {
  const opened = window.open("about:blank", "_blank");
  if (!opened) return null;
  opened.opener = null;
  ended.addEventListener("abort", () => opened.close());
  return opened;
}

async function create(flow, { code, guid }) {
  flow.post("connect/enterCredentials", { institution: { code, guid } });
  try {
    const { member } = await flow.api.post("/members", { institution_guid: guid, is_oauth: true });
    flow.made.add(member.guid);
    flow.note(member);
    return member;
  } catch (error) {
    if (error.type === "duplicate_member") return { guid: error.guid };
    flow.post("connect/createMemberError", { institution_guid: guid, institution_code: code });
    throw error;
  }
}

/** A page at the member's bank; a new member brings its first, and each is good for one visit. */
async function addressOf({ api }, { guid, oauth_window_uri: first }, ended) {
  const url = first ?? (await api.get(`/members/${guid}/oauth_window_uri`, ended)).oauth_window_uri;
  if (!webAddress(url)) throw new TypeError("The bank's page is not on the web.");
  return url;
}

async function outcome({ api }, guid, opened, ended, onClosed) {
  const { oauth_states: states } = await api.get(`/oauth_states?outbound_member_guid=${guid}`, ended);
  let state = states[0];
  for (let looksClosed = 0; state.auth_status === PENDING; ) {
    await pause(LOOK_MS, ended);
    state = await api.get(`/oauth_states/${state.guid}`, ended);
    if (opened?.closed) looksClosed += 1;
    if (looksClosed === LOOKS_AFTER_CLOSING) onClosed();
  }
  return state;
}

async function conclude(flow, institution, state, member) {
  if (state.auth_status === GRANTED) {
    await flow.follow(member);
    return;
  }
  flow.note(member);
  flow.post("connect/oauthError", { member_guid: member.guid, error_reason: state.error_reason_name });
  const { t } = flow;
  const words = { title: t("oauth.refused"), text: t("oauth.refused_text", { bank: institution.name }) };
  await flow.go("oauth", { member, institution, refused: member.message ?? words });
}
