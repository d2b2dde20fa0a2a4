/** While the bank is being read: what is happening, until the server knows where it leads. */

import { ApiError } from "../api.js";
import { el } from "../dom.js";
import { icon } from "../icons.js";
import { bridge, button } from "../parts.js";
import { pause } from "../wait.js";

export const step = "connecting";

const FIRST_LOOKS = 6;
const FIRST_LOOKS_MS = 700;
const LOOKS_MS = 2000;
const SLOW_MS = 15_000;
const VERY_SLOW_MS = 60_000;

export function show(flow, { member }, signal) {
  const { t, client } = flow;
  const bank = member.institution_name;
  const phases = el("ol", { class: "phases" });
  const note = el("div", { class: "note" });
  let drawn = null;

  function draw({ progress: { wanted, done } }) {
    const now = wanted.find((phase) => !done.includes(phase));
    // What has not moved on is left alone: drawn anew, its ring would start again.
    if (String([wanted, now]) === drawn) return;
    drawn = String([wanted, now]);
    phases.replaceChildren(...wanted.map((phase) => line(phase, done.includes(phase), phase === now)));
    if (now) flow.announce(t(`connecting.${now}`, { bank }));
  }

  function line(phase, isDone, isNow) {
    const state = isDone ? "done" : isNow ? "now" : "later";
    return el(
      "li",
      { class: state, "aria-current": isNow ? "step" : null },
      el("span", { class: "mark" }, isDone && icon("check")),
      t(`connecting.${phase}`, { bank }),
      isDone && el("span", { class: "unseen" }, t("connecting.done")),
    );
  }

  function tell(text, ...more) {
    note.replaceChildren(el("p", {}, text), ...more);
    flow.announce(text);
  }

  flow.note(member);
  draw(member.is_being_aggregated ? member : { progress: { ...member.progress, done: [] } });
  flow.run(signal, () => watch(flow, member, signal, draw));
  flow.run(signal, async () => {
    await sleep(SLOW_MS, signal);
    tell(t("connecting.slow"));
    await sleep(VERY_SLOW_MS - SLOW_MS, signal);
    const leave = button(t("connecting.leave"), flow.backToSearch, "quiet");
    tell(t("connecting.very_slow"), flow.config.disable_institution_search ? "" : leave);
  });

  return {
    kind: "centred",
    top: bridge(client, member, el("span", { class: "dots" }, el("i"), el("i"), el("i"))),
    title: t("connecting.title", { bank }),
    lead: t("connecting.lead"),
    body: [phases, note],
  };
}

/** Starts what is not on its way, and looks until there is something else to show. */
async function watch(flow, member, signal, draw) {
  let seen = member;
  if (!member.is_being_aggregated) {
    seen = await start(flow, member, signal);
    flow.note(seen);
    draw(seen);
  }
  for (let looks = 0; seen.step === "connecting"; looks += 1) {
    await pause(looks < FIRST_LOOKS ? FIRST_LOOKS_MS : LOOKS_MS, signal);
    seen = await flow.api.get(`/members/${member.guid}`, signal);
    flow.note(seen);
    draw(seen);
  }
  await flow.follow(seen);
}

async function start(flow, member, signal) {
  try {
    return (await flow.api.post(`/members/${member.guid}/jobs`)).member;
  } catch (error) {
    // Another job may be on its way, and the request may have arrived though its answer did not.
    if (!(error instanceof ApiError && (error.mayPass || error.status === 409))) throw error;
    return flow.api.get(`/members/${member.guid}`, signal);
  }
}

/** Unlike `pause`, to the end: what takes long does not take less long by being looked at. */
async function sleep(milliseconds, signal) {
  const end = performance.now() + milliseconds;
  while (performance.now() < end) await pause(end - performance.now(), signal);
}
