/**
 * Verification without a sign-in at the bank: the user enters the amounts of two small deposits.
 *
 *     entry -> come back later -> verify -> verified
 *                                   `- wrong for the third time -> failed
 */

import { pause } from "../api.js";
import { el } from "../dom.js";
import { choiceField, form, textField } from "../form.js";
import { actions, button, notice, otherBankButton, statusIcon } from "../components.js";
import { choose } from "./search.js";

export const step = "microdeposits";

/** MX's statuses of a micro-deposit; with any other it has failed. */
const INITIATED = 0;
const REQUESTED = 1;
const DEPOSITED = 2;
const VERIFIED = 3;
const DENIED = 5;
const PREVENTED = 6;
const PREINITIATED = 9;
const VIEWS = { [INITIATED]: comeBack, [REQUESTED]: comeBack, [DEPOSITED]: verify, [DENIED]: verify, [VERIFIED]: verified };
/** MX's reasons against a routing number. */
const INVALID = 0;
const IAV_PREFERRED = 3;
const POLL_MS = 4000;
/** The form's text for an error, by its type. */
const ERROR_TEXTS = {
  constraint_not_met: "microdeposits.too_many",
  invalid_request: "microdeposits.invalid",
};
/** MX's names for the views, in the event that reports the first one. */
const VIEW_NAMES = {
  entry: "accountInfo",
  comeBack: "comeBack",
  verify: "verifyDeposits",
  verified: "verified",
  failed: "errors",
};

export function show(flow, { micro_deposit: deposit, isStarted }, signal) {
  const view = viewOf(deposit);
  if (!isStarted) flow.post("connect/microdeposits/loaded", { initial_step: VIEW_NAMES[view.name] });
  return view(flow, deposit, signal);
}

/** Shows the next view. */
function showNext(flow, deposit) {
  return flow.go("microdeposits", { micro_deposit: deposit, isStarted: true });
}

function viewOf(deposit) {
  if (!deposit || deposit.status === PREINITIATED) return entry;
  return VIEWS[deposit.status] ?? failed;
}

// --- entering the numbers -----------------------------------------------------------------------------------

function entry(flow, _, signal) {
  const { t } = flow;
  const fields = numberFields(t);
  const advice = el("div");
  let advised = null;

  async function send() {
    const number = withoutSpaces(fields.routing.value());
    const { blocked_routing_number: blocked, institution } = await flow.api.get(`/routing_numbers/${number}`, signal);
    if (blocked) {
      const { reason } = blocked;
      flow.post("connect/microdeposits/blockedRoutingNumber", { routing_number: number, reason });
      if (reason !== IAV_PREFERRED) {
        fields.routing.showError(t(`microdeposits.routing_${reason === INVALID ? "invalid" : "blocked"}`));
        return;
      }
      if (institution && advised !== number) {
        advised = number;
        showAdvice(flow, institution, advice);
        return;
      }
    }
    await create(flow, fields);
  }

  return {
    title: t("microdeposits.title"),
    lead: t("microdeposits.lead"),
    body: [
      advice,
      form(flow, {
        fields: Object.values(fields),
        submit: t("continue"),
        sending: t("loading"),
        explain: (error) => ERROR_TEXTS[error.type] && t(ERROR_TEXTS[error.type]),
        send,
      }),
    ],
    back: flow.backToSearch,
  };
}

function numberFields(t) {
  const input = { inputmode: "numeric", autocomplete: "off", maxlength: 20 };
  const digits = (pattern, key) => (value) => (pattern.test(withoutSpaces(value)) ? null : t(key));
  const account = textField(t, {
    label: t("microdeposits.account"),
    input,
    problem: digits(/^\d{4,17}$/, "microdeposits.account_hint"),
  });
  return {
    type: choiceField(t, {
      legend: t("microdeposits.type"),
      options: [1, 2].map((type) => ({ value: String(type), label: t(`accounts.type_${type}`), isChosen: type === 1 })),
    }),
    routing: textField(t, {
      label: t("microdeposits.routing"),
      hint: t("microdeposits.routing_hint"),
      input,
      problem: digits(/^\d{9}$/, "search.routing_hint"),
    }),
    account,
    repeated: textField(t, {
      label: t("microdeposits.repeat"),
      input,
      problem: (value) => (withoutSpaces(value) === withoutSpaces(account.value()) ? null : t("microdeposits.differs")),
    }),
  };
}

/** Offers to sign in to the bank of this number instead. Sending the form again goes on with deposits. */
function showAdvice(flow, institution, place) {
  const { t } = flow;
  const bank = institution.name;
  const signIn = button(t("microdeposits.sign_in", { bank }), () => choose(flow, institution), "secondary");
  place.replaceChildren(
    notice("info", t("microdeposits.advice", { bank }), t("microdeposits.advice_text"), signIn),
  );
  signIn.focus({ preventScroll: true });
  place.scrollIntoView({ block: "nearest" });
}

async function create(flow, { type, routing, account }) {
  const deposit = await createOrFind(flow, {
    routing_number: withoutSpaces(routing.value()),
    account_number: withoutSpaces(account.value()),
    account_type: Number(type.value()),
  });
  flow.post("connect/microdeposits/detailsSubmitted", { microdeposit_guid: deposit.guid });
  await showNext(flow, deposit);
}

/** Deposits to the same account may exist from an earlier visit. */
async function createOrFind({ api }, entered) {
  try {
    return (await api.post("/micro_deposits", entered)).micro_deposit;
  } catch (error) {
    if (error.type !== "duplicate_micro_deposit") throw error;
    return api.get(`/micro_deposits/${error.guid}`);
  }
}

function withoutSpaces(typed) {
  return typed.replace(/\s/g, "");
}

// --- waiting, and verifying ---------------------------------------------------------------------------------

function comeBack(flow, deposit, signal) {
  const { t } = flow;
  const lead = el("span", {}, expectedText(flow, deposit));
  flow.run(signal, () =>
    pollUntilArrived(flow, deposit, signal, (latest) => {
      lead.textContent = expectedText(flow, latest);
    }),
  );
  return {
    kind: "centred",
    top: statusIcon("clock", "neutral"),
    title: t("microdeposits.sent"),
    lead,
    body: [
      actions(
        button(t("done"), () => leave(flow, "comeBack")),
        !flow.config.disable_institution_search && button(t("search.other"), flow.backToSearch, "secondary"),
      ),
    ],
    back: flow.backToSearch,
  };
}

/** The day is exact once the deposits were sent; before, it is two business days from now. */
function expectedText({ t, boot }, { deposit_expected_at: expected, account_number: digits }) {
  const form = new Intl.DateTimeFormat(boot.locale, { weekday: "long", day: "numeric", month: "long" });
  if (!expected) return t("microdeposits.expected_soon", { day: form.format(inTwoBusinessDays()) });
  return t("microdeposits.expected", { day: form.format(new Date(expected)), digits });
}

function inTwoBusinessDays() {
  const day = new Date();
  for (let left = 2; left > 0; ) {
    day.setDate(day.getDate() + 1);
    if (![0, 6].includes(day.getDay())) left -= 1;
  }
  return day;
}

async function pollUntilArrived(flow, deposit, signal, onChange) {
  let latest = deposit;
  while (viewOf(latest) === comeBack) {
    onChange(latest);
    await pause(POLL_MS, signal);
    latest = await flow.api.get(`/micro_deposits/${deposit.guid}`, signal);
  }
  await showNext(flow, latest);
}

function verify(flow, deposit) {
  const { t } = flow;
  const amount = (key) =>
    textField(t, {
      label: t(key),
      hint: t("microdeposits.amount_hint"),
      input: { inputmode: "decimal", autocomplete: "off", maxlength: 6 },
      // Cents alone, as `7`, or with the zero dollars, as `0.07`: no deposit is a dollar or more.
      problem: (value) => (/^\s*\$?(0?[.,]\d{2}|\d{1,2})\s*$/.test(value) ? null : t("microdeposits.amount_form")),
    });
  const first = amount("microdeposits.first");
  const second = amount("microdeposits.second");
  return {
    title: t("microdeposits.verify"),
    lead: t("microdeposits.verify_lead", { digits: deposit.account_number }),
    body: [
      deposit.status === DENIED && notice("error", t("microdeposits.wrong"), triesLeft(t, deposit.attempts_left)),
      form(flow, {
        fields: [first, second],
        submit: t("microdeposits.check"),
        sending: t("microdeposits.checking"),
        async send() {
          const result = await sendAmounts(flow, deposit, {
            deposit_amount_1: cents(first.value()),
            deposit_amount_2: cents(second.value()),
          });
          if (result.status === VERIFIED) {
            flow.post("connect/microdeposits/verified", { microdeposit_guid: deposit.guid });
          }
          await showNext(flow, result);
        },
      }),
    ],
    back: flow.backToSearch,
  };
}

async function sendAmounts({ api }, { guid }, amounts) {
  try {
    return (await api.put(`/micro_deposits/${guid}/verify`, amounts)).micro_deposit;
  } catch (error) {
    if (error.status !== 409) throw error;
    // No amounts are expected: they were sent in another window, or the answer was lost.
    return api.get(`/micro_deposits/${guid}`);
  }
}

/** @returns {string} two digits */
function cents(typed) {
  return typed.replace(/\D/g, "").slice(-2).padStart(2, "0");
}

function triesLeft(t, left) {
  return left === 1 ? t("microdeposits.one_try") : t("microdeposits.tries", { left });
}

function verified(flow, deposit) {
  const { t } = flow;
  return {
    kind: "centred",
    top: statusIcon("check", "success"),
    title: t("microdeposits.verified"),
    lead: t("microdeposits.verified_lead", { digits: deposit.account_number }),
    body: [actions(button(t("done"), () => leave(flow, "verified")))],
  };
}

function failed(flow, deposit) {
  const { t } = flow;
  return {
    kind: "centred",
    top: statusIcon("alert", "error"),
    title: t("microdeposits.failed"),
    lead: t(deposit.status === PREVENTED ? "microdeposits.prevented" : "microdeposits.failed_lead"),
    body: [actions(otherBankButton(flow, () => leave(flow, "error")))],
    back: flow.backToSearch,
  };
}

function leave(flow, view) {
  flow.post(`connect/microdeposits/${view}/primaryAction`);
  if (view === "error") flow.backToSearch();
  else flow.finish();
}
