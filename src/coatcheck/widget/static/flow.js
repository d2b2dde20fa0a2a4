/**
 * Shows one screen after the other, as the server decides, and posts each change to the host.
 *
 *     /start -> consent -> search -> credentials | oauth -> connecting <-> mfa -> accounts -> connected
 *                             `----> micro-deposits            `-> problem
 */

import { ApiError, checkNow, createApi } from "./api.js";
import { createHost } from "./host.js";
import { createLayout } from "./layout.js";
import { createBack, forget, keep } from "./session.js";
import * as consent from "./steps/consent.js";
import * as ends from "./steps/ends.js";
import * as search from "./steps/search.js";

/**
 * A screen: a module, or a part of one. The signal is aborted when the user leaves the screen.
 * @typedef {object} Screen
 * @property {string | ((data: any) => string)} step MX's name for it
 * @property {(flow: Flow, data: any, signal: AbortSignal) => Promise<any>} [load] fetches the data that it needs
 * @property {(flow: Flow, data: any, signal: AbortSignal) => import("./layout.js").View} show
 *
 * @typedef {ReturnType<typeof createFlow>} Flow
 */

/**
 * By the server's names; the last three are our own. The screens that most users see first are loaded at once, the others
 * while the user reads.
 * @type {Record<string, () => Screen | Promise<Screen>>}
 */
const SCREENS = {
  consent: () => consent,
  search: () => search,
  enterCreds: () => load("credentials"),
  oauth: () => load("oauth"),
  connecting: () => load("connecting"),
  mfa: () => load("mfa"),
  accountSelect: () => load("accounts"),
  noEligibleAccounts: () => load("problem"),
  actionableError: () => load("problem"),
  connected: () => load("connected"),
  verifyExistingMember: () => load("existing"),
  microdeposits: () => load("microdeposits"),
  removal: async () => (await load("removal")).question,
  removed: async () => (await load("removal")).removed,
  statementFiles: () => load("files"),
};

let retries = 0;

/**
 * The module of a screen. Firefox remembers that a script could not be fetched, and fails from then on without a request:
 * with another address it asks again.
 */
async function load(name) {
  const address = `./steps/${name}.js`;
  try {
    return await import(address);
  } catch {
    retries += 1;
    return import(`${address}?retry=${retries}`);
  }
}

/** After the first screen: until then, requests for other screens would delay those of the first ones. */
const LOAD_ALL_MS = 1000;

/** MX's code in `connect/invalidData`. */
const NO_ELIGIBLE_ACCOUNTS = 1000;
const SESSION_EXPIRED = new Set(["session_over", "user_disabled"]);

/** @param {typeof createApi} connect makes the API that the screens use */
export function createFlow(root, boot, connect = createApi) {
  const { client, config } = boot;
  const t = (key, values) =>
    (boot.messages[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => ({ client: client.name, ...values })[name]);
  const host = createHost(boot, onMessage);
  const layout = createLayout(root, { client, t, onBack: goBack, onClose: close });
  const api = connect(boot.session_token, layout.setOffline);
  const back = createBack(goBack);
  const statuses = new Map();
  let scope = new AbortController();
  let lastTarget = null;
  let step = null;
  let view = null;

  const flow = {
    ...{ boot, client, config, t, api },
    post: host.post,
    announce: layout.announce,
    /** The last answer of GET /start. */
    start: boot.start,
    /** Guids of the members that were created in this session. Only these can be removed. */
    createdMembers: new Set(),
    /** What the user typed, by the guid of the field. No password is in it. */
    typed: new Map(),
    /** The promise of the first page of the search. */
    popular: null,
    ...{ restart, startAt, go, showMember, reportStatus, fail, run, backToSearch, finish },
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && view?.back) goBack();
  });
  host.post("load");
  if (boot.resumed_member) resume(boot.resumed_member);
  else startAt(boot.start);
  return flow;

  /** Shows the member that was shown before the page was loaded again; if it is gone, the first step. */
  function resume(guid) {
    return change(async (signal) => {
      try {
        const member = await api.get(`/members/${guid}`, signal);
        return [member.step, { member }];
      } catch (error) {
        if (!(error instanceof ApiError) || error.type !== "not_found") throw error;
        return [flow.start.step, flow.start];
      }
    });
  }

  /** Fetches the first step again and shows it. */
  function restart() {
    return change(async (signal) => {
      flow.start = await api.get("/start", signal);
      return [flow.start.step, flow.start];
    });
  }

  /** Shows the first step that the server chose. */
  function startAt(start) {
    flow.start = start;
    return go(start.step, start);
  }

  /** Shows a screen. The previous one stays visible until the data is there. */
  function go(name, data = {}) {
    return change(async () => [name, data]);
  }

  /** @param {(signal: AbortSignal) => Promise<[string, any]>} target the screen and its data */
  async function change(target) {
    lastTarget = target;
    scope.abort();
    scope = new AbortController();
    const { signal } = scope;
    layout.busy(true);
    await run(signal, async () => {
      const [name, data] = await target(signal);
      const screen = await SCREENS[name]();
      const loaded = screen.load ? await screen.load(flow, data, signal) : data;
      if (!signal.aborted) enter(screen, loaded, signal);
    });
  }

  function enter(screen, data, signal) {
    const isFirst = step === null;
    const next = typeof screen.step === "function" ? screen.step(data) : screen.step;
    if (isFirst) reportLoaded(next);
    else if (next !== step) host.post("connect/stepChange", { previous: step, current: next });
    step = next;
    present(() => screen.show(flow, data, signal), isFirst);
    if (isFirst) setTimeout(loadAll, LOAD_ALL_MS);
  }

  /** Loads the other screens, so that each is shown at once. A failure is repeated when the screen is shown. */
  function loadAll() {
    Promise.allSettled(Object.values(SCREENS).map((screen) => screen()));
  }

  /** If the first screen is about the member that the client named, the host gets its status as well. */
  function reportLoaded(first) {
    host.post("connect/loaded", { initial_step: first });
    const { step: started, member } = flow.start;
    if (member?.step !== started) return;
    reportStatus(member);
    reportResult(member);
  }

  /** @param {() => import("./layout.js").View} makeView may announce something */
  function present(makeView, isFirst = false) {
    layout.busy(false);
    layout.setOffline(false);
    layout.announce("");
    view = makeView();
    back.allow(Boolean(view.back));
    layout.show(view, isFirst);
  }

  /** Runs the work of a screen. Errors after the screen was left are ignored. */
  async function run(signal, work) {
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) fail(error);
    }
  }

  /** Shows the member's step and posts its status and result to the host. */
  async function showMember(member) {
    reportStatus(member);
    reportResult(member);
    keep({ member: member.guid });
    await go(member.step, { member });
  }

  function reportResult(member) {
    const { guid, step: memberStep, connection_status, error, message } = member;
    const ids = { member_guid: guid };
    if (memberStep === "connected") {
      host.post("connect/initialDataReady", ids);
      host.post("connect/memberConnected", { ...ids, ...selectedAccounts(member) });
    } else if (memberStep === "noEligibleAccounts") {
      host.post("connect/invalidData", { ...ids, code: error?.error_code ?? NO_ELIGIBLE_ACCOUNTS });
    } else if (message) {
      host.post("connect/memberError", { member: { guid, connection_status } });
    }
  }

  /** Our own fields beside MX's: the accounts that the user selected, and the only one. */
  function selectedAccounts({ selected_account_guid: account_guid, selected_account_guids: account_guids }) {
    return { ...(account_guid && { account_guid }), ...(account_guids.length && { account_guids }) };
  }

  /** Posts the member's status to the host if it has changed. */
  function reportStatus({ guid, connection_status }) {
    if (statuses.get(guid) === connection_status) return;
    statuses.set(guid, connection_status);
    host.post("connect/memberStatusUpdate", { member_guid: guid, connection_status });
  }

  /** Posts the event; where the client forbids the search, the host decides what comes next. */
  function backToSearch() {
    host.post("connect/backToSearch");
    keep({ member: null });
    if (!config.disable_institution_search) go("search");
  }

  /** Posts that the user is done, and shows a last screen, which stays until the host removes the widget. */
  function finish() {
    host.post("connect/backToSearch");
    keep({ member: null });
    leave(config.disable_institution_search ? null : () => go("search"), "closed.another");
  }

  /** The user closes the widget. A member that is being connected goes on without it. */
  function close() {
    host.post("connect/closed");
    leave(restart, "closed.again");
  }

  /**
   * @param {(() => void) | null} again
   * @param {string} label of the button that does it
   */
  function leave(again, label) {
    scope.abort();
    scope = new AbortController();
    present(() => ends.closed(flow, again, label));
  }

  /** Shows the screen of an error that no screen handles. */
  function fail(error) {
    const type = error instanceof ApiError ? error.type : "";
    const again = type === "not_found" ? restart : () => change(lastTarget);
    scope.abort();
    if (type === "consent_required") restart();
    else if (type === "institution_refused") present(() => ends.unavailable(flow));
    else if (SESSION_EXPIRED.has(type)) {
      forget();
      present(() => ends.expired(flow));
    } else present(() => ends.failed(flow, again));
  }

  function goBack() {
    host.post("connect/backButtonClicked");
    view.back();
  }

  function onMessage({ type, payload }) {
    if (type === "mx/navigation" && payload?.action === "back") {
      const before = scope;
      view?.back?.();
      host.post("navigation", { did_go_back: scope !== before });
    }
    // A sign-in window has finished. The server has the result, whatever the message says.
    if (/^(mx\/client\/)?oauthComplete/.test(type)) checkNow();
  }
}
