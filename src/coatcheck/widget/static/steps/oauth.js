/**
 * Sign-in on the bank's own page, in a window that the click opens. This page polls for its result.
 *
 *     intro --click--> waiting --granted--> the member's step
 *                        |  `--refused--> refused
 *                        `--window closed--> try again; polling goes on, in case the user had finished
 */

import { pause } from "../api.js";
import { el } from "../dom.js";
import { actions, bankLine, button, externalLink, notice, statusIcon, webAddress } from "../components.js";

export const step = ({ hasFailed }) => (hasFailed ? "oauthError" : "enterCreds");

const PENDING = 1;
const GRANTED = 2;
const POLL_MS = 1000;
/** Polls after the window was closed, before the page says so: the result may arrive a moment later. */
const POLLS_AFTER_CLOSING = 3;

export async function load({ api }, { member, institution, refused }, signal) {
  const found = institution ?? (await api.get(`/institutions/${member.institution_guid}`, signal));
  return { member, institution: found, refused: refused ?? member?.message, hasFailed: Boolean(refused) };
}

export function show(flow, { member, institution, refused }, signal) {
  const { t } = flow;
  const bank = institution.name;
  const content = el("div", { class: "oauth-content", tabindex: "-1" });
  let current = member;
  let attempt = new AbortController();
  signal.addEventListener("abort", () => attempt.abort());

  function showContent(...nodes) {
    const hadFocus = content.contains(document.activeElement);
    content.replaceChildren(...nodes.filter(Boolean));
    if (hadFocus) content.focus({ preventScroll: true });
  }

  function cancel() {
    if (flow.config.disable_institution_search) flow.go("oauth", { member: current, institution });
    else flow.backToSearch();
  }

  /** Runs in the click handler, because browsers block windows that are opened later. */
  function goToBank() {
    attempt.abort();
    attempt = new AbortController();
    const opened = flow.config.is_mobile_webview ? null : openBlank(attempt.signal);
    showContent(...waiting(t, bank, cancel));
    flow.announce(t("oauth.opening", { bank }));
    flow.run(attempt.signal, () => finishSignIn(opened, attempt.signal));
  }

  async function finishSignIn(opened, ended) {
    current ??= await create(flow, institution);
    const guid = current.guid;
    const url = await signInUrl(flow, current, ended);
    // Without its URL, which works once: another attempt gets a new one.
    current = { guid };
    opened?.location.replace(url);
    flow.post("connect/oauthRequested", { url, member_guid: guid });
    showContent(...waiting(t, bank, cancel, url, Boolean(opened)));
    flow.announce(t("oauth.waiting", { bank }));
    const state = await pollResult(flow, guid, opened, ended, () => {
      showContent(notice("info", t("oauth.closed"), t("oauth.closed_text", { bank })), retry(flow, goToBank));
      flow.announce(t("oauth.closed"));
    });
    await showResult(flow, institution, state, await flow.api.get(`/members/${guid}`, ended));
  }

  if (refused) showContent(el("p", { class: "lead" }, refused.text), retry(flow, goToBank));
  else showContent(...intro(t, institution, goToBank));

  return {
    kind: refused ? "centred" : "plain",
    top: refused ? statusIcon("alert", "error") : bankLine(bank, institution.logo_url, institution.url),
    title: refused ? refused.title : t("oauth.title", { bank }),
    body: [content],
    back: flow.backToSearch,
  };
}

// --- views ---

function intro(t, { name: bank, instructional_text: instructions }, goToBank) {
  const steps = ["oauth.step_1", "oauth.step_2", "oauth.step_3"];
  return [
    instructions && el("p", { class: "lead" }, instructions),
    el("ol", { class: "oauth-steps" }, steps.map((key) => el("li", {}, t(key, { bank })))),
    actions(button(t("oauth.open", { bank }), goToBank)),
  ];
}

/** Once the URL of the bank's page is known, there is a link to it, in case no window opened. */
function waiting(t, bank, cancel, url, isOpen = true) {
  const rank = isOpen ? "secondary" : "primary";
  return [
    el("p", { class: "waiting" }, el("span", { class: "spinner" }), t("oauth.waiting", { bank })),
    actions(
      externalLink(t, t("oauth.open_here", { bank }), url, { class: `button ${rank}` }),
      button(t("cancel"), cancel, "tertiary"),
    ),
  ];
}

function retry({ t, config, backToSearch }, goToBank) {
  const another = !config.disable_institution_search && button(t("search.other"), backToSearch, "tertiary");
  return actions(button(t("oauth.again"), goToBank), another);
}

// --- window, member, result ---

/** An empty window that is sent to the bank later. It has no opener, so the bank cannot reach this page. */
function openBlank(ended) {
  // Without `noopener`, with which `open` returns null and the window could not be led to the bank later.
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
    flow.createdMembers.add(member.guid);
    flow.reportStatus(member);
    return member;
  } catch (error) {
    if (error.type === "duplicate_member") return { guid: error.guid };
    flow.post("connect/createMemberError", { institution_guid: guid, institution_code: code });
    throw error;
  }
}

/** The URL of a sign-in page, which works once. A new member comes with its first. */
async function signInUrl({ api }, { guid, oauth_window_uri: first }, ended) {
  const url = first ?? (await api.get(`/members/${guid}/oauth_window_uri`, ended)).oauth_window_uri;
  if (!webAddress(url)) throw new TypeError("The bank's URL is not http or https.");
  return url;
}

async function pollResult({ api }, guid, opened, ended, onClosed) {
  const { oauth_states: states } = await api.get(`/oauth_states?outbound_member_guid=${guid}`, ended);
  let state = states[0];
  for (let pollsClosed = 0; state.auth_status === PENDING; ) {
    await pause(POLL_MS, ended);
    state = await api.get(`/oauth_states/${state.guid}`, ended);
    // A bank's page with a Cross-Origin-Opener-Policy also makes the window look closed: polling goes on.
    if (opened?.closed) pollsClosed += 1;
    if (pollsClosed === POLLS_AFTER_CLOSING) onClosed();
  }
  return state;
}

async function showResult(flow, institution, state, member) {
  if (state.auth_status === GRANTED) {
    await flow.showMember(member);
    return;
  }
  flow.reportStatus(member);
  flow.post("connect/oauthError", { member_guid: member.guid, error_reason: state.error_reason_name });
  const { t } = flow;
  const texts = { title: t("oauth.refused"), text: t("oauth.refused_text", { bank: institution.name }) };
  await flow.go("oauth", { member, institution, refused: member.message ?? texts });
}
