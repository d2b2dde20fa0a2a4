/**
 * One screen after the other, as the server says; the host is told of each.
 *
 *     /start -> consent -> search -> credentials | oauth -> connecting <-> mfa -> accounts -> connected
 *                             `----> micro-deposits            `-> problem
 */

import { ApiError, createApi } from "./api.js";
import { createHost } from "./host.js";
import { createStage } from "./stage.js";
import { hurry } from "./wait.js";
import * as consent from "./steps/consent.js";
import * as interrupted from "./steps/interrupted.js";
import * as search from "./steps/search.js";

/**
 * A screen's module. The signal ends when the screen is left.
 * @typedef {object} Screen
 * @property {string | ((data: any) => string)} step MX's name for it
 * @property {(flow: Flow, data: any, signal: AbortSignal) => Promise<any>} [load] fetches what it needs
 * @property {(flow: Flow, data: any, signal: AbortSignal) => import("./stage.js").View} show
 *
 * @typedef {ReturnType<typeof createFlow>} Flow
 */

/**
 * By the server's names for them; the last is ours. Where nearly everybody begins is there at once, the others
 * follow while the user reads.
 * @type {Record<string, () => Screen | Promise<Screen>>}
 */
const SCREENS = {
  consent: () => consent,
  search: () => search,
  enterCreds: () => import("./steps/credentials.js"),
  oauth: () => import("./steps/oauth.js"),
  connecting: () => import("./steps/connecting.js"),
  mfa: () => import("./steps/mfa.js"),
  accountSelect: () => import("./steps/accounts.js"),
  noEligibleAccounts: () => import("./steps/problem.js"),
  actionableError: () => import("./steps/problem.js"),
  connected: () => import("./steps/connected.js"),
  verifyExistingMember: () => import("./steps/existing.js"),
  microdeposits: () => import("./steps/microdeposits.js"),
  removed: () => import("./steps/removed.js"),
};

/** MX's code for it in `connect/invalidData`. */
const NO_ELIGIBLE_ACCOUNTS = 1000;
const SESSION_IS_OVER = new Set(["session_over", "user_disabled"]);

export function createFlow(root, boot) {
  const { client, config } = boot;
  const t = (key, values) =>
    (boot.messages[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => ({ client: client.name, ...values })[name]);
  const host = createHost(boot, hear);
  const stage = createStage(root, { client, t, onBack: pressBack });
  const api = createApi(boot.session_token, stage.cutOff);
  const statuses = new Map();
  let scope = new AbortController();
  let find = null;
  let step = null;
  let view = null;

  const flow = {
    ...{ boot, client, config, t, api },
    post: host.post,
    announce: stage.announce,
    /** Where it begins, and what consent and search want to know. */
    start: boot.start,
    /** Guids of the members that were made here: those alone can be removed here. */
    made: new Set(),
    /** The search's first page, once asked for. */
    popular: null,
    ...{ begin, beginAt, go, follow, note, fail, run, backToSearch },
  };

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented && view?.back) pressBack();
  });
  host.post("load");
  beginAt(boot.start);
  return flow;

  /** Asks where to begin now, and goes there. */
  function begin() {
    return change(async (signal) => {
      flow.start = await api.get("/start", signal);
      return [flow.start.step, flow.start];
    });
  }

  /** Goes where the server said to begin. */
  function beginAt(start) {
    flow.start = start;
    return go(start.step, start);
  }

  /** Goes to a screen. The one before stays in sight until this one has what it needs. */
  function go(name, data = {}) {
    return change(async () => [name, data]);
  }

  /** @param {(signal: AbortSignal) => Promise<[string, any]>} whereto the screen and what it is about */
  async function change(whereto) {
    find = whereto;
    scope.abort();
    scope = new AbortController();
    const { signal } = scope;
    stage.busy(true);
    await run(signal, async () => {
      const [name, data] = await whereto(signal);
      const screen = await SCREENS[name]();
      const loaded = screen.load ? await screen.load(flow, data, signal) : data;
      if (!signal.aborted) enter(screen, loaded, signal);
    });
  }

  function enter(screen, data, signal) {
    const isFirst = step === null;
    const next = typeof screen.step === "function" ? screen.step(data) : screen.step;
    if (isFirst) loaded(next);
    else if (next !== step) host.post("connect/stepChange", { previous: step, current: next });
    step = next;
    present(() => screen.show(flow, data, signal), isFirst);
    if (isFirst) Promise.allSettled(Object.values(SCREENS).map((fetched) => fetched()));
  }

  /** Who named a member hears where it stands, if that is where the user begins. */
  function loaded(first) {
    host.post("connect/loaded", { initial_step: first });
    const { step: begun, member } = flow.start;
    if (member?.step !== begun) return;
    note(member);
    report(member);
  }

  /** @param {() => import("./stage.js").View} makeView which may announce something already */
  function present(makeView, isFirst = false) {
    stage.busy(false);
    stage.cutOff(false);
    stage.announce("");
    view = makeView();
    stage.show(view, isFirst);
  }

  /** Does what belongs to a screen; its end is silent once the screen was left. */
  async function run(signal, work) {
    try {
      await work();
    } catch (error) {
      if (!signal.aborted) fail(error);
    }
  }

  /** Goes where the server says that the member stands, and tells the host what it means. */
  async function follow(member) {
    note(member);
    report(member);
    await go(member.step, { member });
  }

  function report({ guid, step: reached, connection_status, error, message, selected_account_guid: account_guid }) {
    const who = { member_guid: guid };
    if (reached === "connected") {
      host.post("connect/initialDataReady", who);
      host.post("connect/memberConnected", { ...who, ...(account_guid && { account_guid }) });
    } else if (reached === "noEligibleAccounts") {
      host.post("connect/invalidData", { ...who, code: error?.error_code ?? NO_ELIGIBLE_ACCOUNTS });
    } else if (message) {
      host.post("connect/memberError", { member: { guid, connection_status } });
    }
  }

  /** Tells the host of a status that it has not heard of. */
  function note({ guid, connection_status }) {
    if (statuses.get(guid) === connection_status) return;
    statuses.set(guid, connection_status);
    host.post("connect/memberStatusUpdate", { member_guid: guid, connection_status });
  }

  /** Where the host forbids the search, it is told, and what comes next is up to it. */
  function backToSearch() {
    host.post("connect/backToSearch");
    if (!config.disable_institution_search) go("search");
  }

  /** Says that it cannot go on, and offers what still can be done. */
  function fail(error) {
    const type = error instanceof ApiError ? error.type : "";
    const again = type === "not_found" ? begin : () => change(find);
    scope.abort();
    if (type === "consent_required") begin();
    else if (SESSION_IS_OVER.has(type)) present(() => interrupted.over(flow));
    else present(() => interrupted.failed(flow, again));
  }

  function pressBack() {
    host.post("connect/backButtonClicked");
    view.back();
  }

  function hear({ type, payload }) {
    if (type === "mx/navigation" && payload?.action === "back") {
      const before = scope;
      view?.back?.();
      host.post("navigation", { did_go_back: scope !== before });
    }
    // A window at the bank came to its end. Whatever it says, the server knows.
    if (/^(mx\/client\/)?oauthComplete/.test(type)) hurry();
  }
}
