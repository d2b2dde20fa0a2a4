/**
 * Signing in on the bank's own page, in a window that the click opens; meanwhile this page asks how it went.
 *
 *     intro --click--> waiting --granted--> wherever the member stands
 *                        |  `--refused--> refused
 *                        `--window closed--> closed: try again, or go on waiting
 */

import { el } from "../dom.js";
import { actions, bankLine, button, notice, outside, sign, webAddress } from "../parts.js";
import { pause } from "../wait.js";

export const step = ({ isNews }) => (isNews ? "oauthError" : "enterCreds");

const GRANTED = 2;
const REFUSED = 3;
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
  const place = el("div", { class: "changing" });
  let visit = null;

  function intro() {
    const open = button(t("oauth.open", { bank }), () => visitBank());
    return [
      institution.instructional_text && el("p", { class: "lead" }, institution.instructional_text),
      el(
        "ol",
        { class: "ways" },
        ["oauth.way_1", "oauth.way_2", "oauth.way_3"].map((key) => el("li", {}, t(key, { bank }))),
      ),
      actions(open),
    ];
  }

  /** @param {string} [url] of the bank's page, once known: the link is there in case no window came up. */
  function waiting(url, isOpen = true) {
    return [
      el("p", { class: "waiting" }, el("span", { class: "spinner" }), t("oauth.waiting", { bank })),
      actions(
        outside(t, t("oauth.open_here", { bank }), url, { class: `button ${isOpen ? "secondary" : "primary"}` }),
        button(t("cancel"), flow.backToSearch, "quiet"),
      ),
    ];
  }

  function closed() {
    return [
      notice("info", t("oauth.closed"), t("oauth.closed_text", { bank })),
      actions(
        button(t("oauth.again"), () => visitBank()),
        button(t("search.other"), flow.backToSearch, "quiet"),
      ),
    ];
  }

  function put(nodes, text) {
    place.replaceChildren(...nodes.filter(Boolean));
    if (text) flow.announce(text);
  }

  /** Runs in the click: later, no browser would let a window open. */
  function visitBank() {
    visit?.abort();
    visit = new AbortController();
    signal.addEventListener("abort", () => visit.abort());
    const opened = flow.config.is_mobile_webview ? null : openBlank();
    put(waiting(), t("oauth.opening", { bank }));
    const current = visit.signal;
    flow.run(current, async () => {
      const { guid, url } = await windowAt(current).catch((error) => {
        opened?.close();
        throw error;
      });
      if (opened) opened.location.replace(url);
      flow.post("connect/oauthRequested", { url, member_guid: guid });
      put(waiting(url, Boolean(opened)), t("oauth.waiting", { bank }));
      await outcome(guid, opened, current);
    });
  }

  /** The member that is to be connected, and a page at its bank; fresh, for each is good for one visit. */
  async function windowAt(current) {
    const made = member ? null : await create();
    const guid = made?.guid ?? member.guid;
    const url = made?.oauth_window_uri ?? (await flow.api.get(`/members/${guid}/oauth_window_uri`, current)).oauth_window_uri;
    member = made ?? member;
    if (!webAddress(url)) throw new TypeError("The bank's page is not on the web.");
    return { guid, url };
  }

  async function create() {
    const { code, guid } = institution;
    flow.post("connect/enterCredentials", { institution: { code, guid } });
    try {
      const created = (await flow.api.post("/members", { institution_guid: guid, is_oauth: true })).member;
      flow.made.add(created.guid);
      flow.note(created);
      return created;
    } catch (error) {
      if (error.type === "duplicate_member") return { guid: error.guid };
      flow.post("connect/createMemberError", { institution_guid: guid, institution_code: code });
      throw error;
    }
  }

  async function outcome(guid, opened, current) {
    const { oauth_states: states } = await flow.api.get(`/oauth_states?outbound_member_guid=${guid}`, current);
    let state = states[0];
    for (let looksClosed = 0; state.auth_status !== GRANTED && state.auth_status !== REFUSED; ) {
      await pause(LOOK_MS, current);
      state = await flow.api.get(`/oauth_states/${state.guid}`, current);
      if (opened?.closed) looksClosed += 1;
      if (looksClosed === LOOKS_AFTER_CLOSING) put(closed(), t("oauth.closed"));
    }
    opened?.close();
    const seen = await flow.api.get(`/members/${guid}`, current);
    if (state.auth_status === GRANTED) {
      await flow.follow(seen);
      return;
    }
    flow.note(seen);
    flow.post("connect/oauthError", { member_guid: guid, error_reason: state.error_reason_name });
    const fallback = { title: t("oauth.refused"), text: t("oauth.refused_text", { bank }) };
    await flow.go("oauth", { member: seen, institution, refused: seen.message ?? fallback });
  }

  if (refused) {
    put([
      el("p", { class: "lead" }, refused.text),
      actions(
        button(t("oauth.again"), () => visitBank()),
        button(t("search.other"), flow.backToSearch, "quiet"),
      ),
    ]);
  } else put(intro());

  return {
    kind: refused ? "centred" : "plain",
    top: refused ? sign("alert", "alarm") : bankLine(bank, institution.logo_url, institution.url),
    title: refused ? refused.title : t("oauth.title", { bank }),
    body: [place],
    back: flow.backToSearch,
  };
}

/** A window of ours that is sent to the bank later, and from there cannot reach back into this page. */
function openBlank() {
  const opened = window.open("about:blank", "_blank");
  if (opened) opened.opener = null;
  return opened;
}
