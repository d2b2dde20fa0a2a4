// Shows the sandbox live. All data comes from the API, with the key that the user enters and this tab keeps.

const PAUSE = 2000; // milliseconds between two looks
const ROWS = 25;
const byId = (id) => document.getElementById(id);
const signIn = byId("sign-in");
const live = byId("live");
const problem = byId("problem");
const shown = new Map(); // the last rows of each list as text: an unchanged list keeps its elements and the focus
let timer;
let isPaused = false;

const LISTS = {
  requests: {
    path: "/coatcheck/sandbox/activity",
    rows: ({ activity }) => activity.requests,
    columns: {
      Time: (each) => each.at,
      Request: (each) => `${each.method} ${each.path}`,
      Status: (each) => (each.status >= 400 || !each.status ? failed(each.status || "no answer") : each.status),
      Duration: (each) => `${each.milliseconds} ms`,
      Caller: (each) => each.caller ?? "",
    },
  },
  deliveries: {
    path: `/coatcheck/deliveries?records_per_page=${ROWS}`,
    rows: ({ deliveries }) => deliveries,
    columns: {
      Time: (each) => each.created_at,
      Event: (each) => each.type,
      Status: (each) => (each.status === "failed" ? failed(each.status) : each.status),
      Attempts: (each) => each.attempts,
      Answer: (each) => each.answer_status ?? each.error ?? "",
    },
  },
  events: {
    path: `/coatcheck/events?records_per_page=${ROWS}`,
    rows: ({ events }) => events,
    columns: {
      Time: (each) => each.occurred_at,
      Type: (each) => each.type,
      Object: (each) => each.object,
      Number: (each) => each.sequence,
    },
  },
  members: {
    path: "/coatcheck/sandbox/activity",
    rows: ({ activity }) => activity.members,
    columns: {
      Changed: (each) => each.updated_at,
      Member: (each) => each.guid,
      Institution: (each) => each.institution_code,
      Status: (each) => each.connection_status ?? "",
      User: (each) => each.user_guid,
    },
  },
  grants: {
    path: `/coatcheck/grants?records_per_page=${ROWS}`,
    rows: ({ grants }) => grants,
    columns: {
      Issued: (each) => each.created_at,
      Token: (each) => each.guid,
      Status: (each) => each.status,
      Reads: (each) => each.reads,
      Expires: (each) => each.expires_at,
    },
  },
};

signIn.addEventListener("submit", (event) => {
  event.preventDefault();
  const { id, key } = signIn.elements;
  const bytes = new TextEncoder().encode(`${id.value.trim()}:${key.value.trim()}`);
  sessionStorage.setItem("authorization", `Basic ${btoa(String.fromCharCode(...bytes))}`);
  signIn.reset();
  look();
});

byId("forget").addEventListener("click", () => ask(""));

byId("pause").addEventListener("click", ({ target }) => {
  isPaused = !isPaused;
  target.setAttribute("aria-pressed", String(isPaused));
  if (!isPaused) look();
});

byId("move").addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = event.target.querySelector("button");
  button.disabled = true;
  byId("moved").textContent = "Moving …";
  try {
    const advance = byId("advance").value.trim();
    const { ran } = await call("/coatcheck/sandbox/clock", { method: "POST", body: JSON.stringify({ clock: { advance } }) });
    byId("moved").textContent = `Ran ${ran.jobs} jobs, announced ${ran.events} events, ${ran.expired_tokens} tokens expired.`;
  } catch (error) {
    byId("moved").textContent = error.message;
  }
  button.disabled = false;
  look();
});

document.addEventListener("visibilitychange", () => document.hidden || look());

if (sessionStorage.getItem("authorization")) look();
else ask("");

/** Shows the form in place of the data. */
function ask(text) {
  clearTimeout(timer);
  sessionStorage.removeItem("authorization");
  shown.clear();
  for (const section of live.querySelectorAll("[data-list]")) section.querySelector("table, .none")?.remove();
  problem.textContent = text;
  live.hidden = true;
  signIn.hidden = false;
  signIn.elements.id.focus();
}

async function look() {
  clearTimeout(timer);
  const authorization = sessionStorage.getItem("authorization");
  // Answers that arrive after the user asked to forget the key must not be shown.
  const isStale = () => sessionStorage.getItem("authorization") !== authorization;
  try {
    const paths = ["/coatcheck/sandbox/clock", ...new Set(Object.values(LISTS).map((list) => list.path))];
    const answers = new Map(await Promise.all(paths.map(async (path) => [path, await call(path)])));
    if (isStale()) return;
    show(answers);
    problem.textContent = "";
  } catch (error) {
    if (isStale()) return;
    if (error.status === 401) return ask("The id or the key is wrong.");
    problem.textContent = error.message;
  }
  clearTimeout(timer);
  if (!isPaused && !document.hidden) timer = setTimeout(look, PAUSE);
}

function show(answers) {
  if (live.hidden) {
    signIn.hidden = true;
    live.hidden = false;
  }
  const { clock } = answers.get("/coatcheck/sandbox/clock");
  byId("now").textContent = clock.now;
  byId("offset").textContent = clock.offset_seconds ? `moved forward by ${clock.offset_seconds} seconds` : "not moved";
  for (const [name, { path, rows, columns }] of Object.entries(LISTS)) {
    const found = rows(answers.get(path)).slice(0, ROWS);
    const text = JSON.stringify(found);
    if (shown.get(name) === text) continue;
    shown.set(name, text);
    const section = live.querySelector(`[data-list="${name}"]`);
    section.querySelector("table, .none")?.remove();
    section.append(found.length ? table(section.querySelector("h2").id, found, columns) : make("p", { class: "none" }, "None yet."));
  }
}

function table(label, rows, columns) {
  const head = Object.keys(columns).map((name) => make("th", { scope: "col" }, name));
  const body = rows.map((row) =>
    make("tr", {}, ...Object.entries(columns).map(([name, cell]) => make("td", { "data-label": name }, cell(row)))),
  );
  return make("table", { "aria-labelledby": label }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

function failed(text) {
  return make("span", { class: "failed" }, String(text));
}

/** An element with attributes and children. Text stays text: nothing is parsed as HTML. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The answer of the API. Throws an error with the message of a refusal, and its status. */
async function call(path, options = {}) {
  const headers = { authorization: sessionStorage.getItem("authorization") ?? "", "coatcheck-inspector": "1" };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, credentials: "omit" });
  } catch {
    throw new Error("The sandbox does not answer.");
  }
  if (answer.ok) return answer.json();
  const text = await answer.text();
  let message = `The sandbox answered ${answer.status}.`;
  try {
    message = JSON.parse(text).error.message;
  } catch {
    // An answer that is not of the API, such as that of a proxy.
  }
  throw Object.assign(new Error(message), { status: answer.status });
}
