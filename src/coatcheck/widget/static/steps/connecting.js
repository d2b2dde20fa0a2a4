/** The progress of the jobs, until the server has the next step. */

import { ApiError, pause } from "../api.js";
import { el, icon } from "../dom.js";
import { button, logoPair } from "../components.js";

export const step = "connecting";

const FIRST_POLLS = 6;
const FIRST_POLLS_MS = 700;
const POLL_MS = 2000;
const SLOW_MS = 15_000;
const VERY_SLOW_MS = 60_000;

export function show(flow, { member }, signal) {
  const { t, client } = flow;
  const bank = member.institution_name;
  const phases = el("ol", { class: "phases" });
  const note = el("div", { class: "phase-note" });
  let drawn = null;

  function draw({ progress: { wanted, done } }) {
    const now = wanted.find((phase) => !done.includes(phase));
    // Without a change nothing is drawn, because the animation would start again.
    if (String([wanted, now]) === drawn) return;
    drawn = String([wanted, now]);
    phases.replaceChildren(...wanted.map((phase) => line(phase, done.includes(phase), phase === now)));
    if (now) flow.announce(t(`connecting.${now}`, { bank }));
  }

  function line(phase, isDone, isNow) {
    const state = isDone ? "done" : isNow ? "current" : "pending";
    return el(
      "li",
      { class: state, "aria-current": isNow ? "step" : null },
      el("span", { class: "phase-mark" }, isDone && icon("check")),
      t(`connecting.${phase}`, { bank }),
      isDone && el("span", { class: "visually-hidden" }, t("connecting.done")),
    );
  }

  function showNote(text, ...more) {
    note.replaceChildren(el("p", {}, text), ...more);
    flow.announce(text);
  }

  flow.reportStatus(member);
  draw(member.is_being_aggregated ? member : { progress: { ...member.progress, done: [] } });
  flow.run(signal, () => watch(flow, member, signal, draw));
  flow.run(signal, async () => {
    await sleep(SLOW_MS, signal);
    showNote(t("connecting.slow"));
    await sleep(VERY_SLOW_MS - SLOW_MS, signal);
    const leave = button(t("connecting.leave"), flow.backToSearch, "tertiary");
    showNote(t("connecting.very_slow"), flow.config.disable_institution_search ? "" : leave);
  });

  return {
    kind: "centred",
    top: logoPair(client, member, el("span", { class: "dots" }, el("i"), el("i"), el("i"))),
    title: t("connecting.title", { bank }),
    lead: t("connecting.lead"),
    body: [phases, note],
  };
}

/** Starts the jobs if none is running, and polls until the member has another step. */
async function watch(flow, member, signal, draw) {
  let seen = member;
  if (!member.is_being_aggregated) {
    seen = await start(flow, member, signal);
    flow.reportStatus(seen);
    draw(seen);
  }
  for (let polls = 0; seen.step === "connecting"; polls += 1) {
    await pause(polls < FIRST_POLLS ? FIRST_POLLS_MS : POLL_MS, signal);
    seen = await flow.api.get(`/members/${member.guid}`, signal);
    flow.reportStatus(seen);
    draw(seen);
  }
  await flow.showMember(seen);
}

async function start(flow, member, signal) {
  try {
    return (await flow.api.post(`/members/${member.guid}/jobs`)).member;
  } catch (error) {
    // Another job may be running, or the request arrived and its answer was lost.
    if (!(error instanceof ApiError && (error.isTemporary || error.status === 409))) throw error;
    return flow.api.get(`/members/${member.guid}`, signal);
  }
}

/** Unlike `pause`, it does not end early. */
async function sleep(milliseconds, signal) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) await pause(end - performance.now(), signal);
}
