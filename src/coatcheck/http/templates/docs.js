// Search, and forms that send a request of an operation to this server. The page works without it.

const search = document.getElementById("search");
const count = document.getElementById("count");
const articles = [...document.querySelectorAll("article[data-search]")];
const credentials = document.getElementById("credentials");
let description;

for (const element of document.querySelectorAll("[data-needs-script]")) element.hidden = false;

search.addEventListener("input", () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const article of articles) {
    const found = words.every((word) => article.dataset.search.includes(word));
    article.hidden = !found;
    shown += found ? 1 : 0;
  }
  for (const section of document.querySelectorAll("section[data-group]")) {
    section.hidden = !section.querySelector("article:not([hidden])");
  }
  count.textContent = words.length ? `${shown} of ${articles.length} operations` : "";
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-operation]");
  if (!button) return;
  const place = document.getElementById(`try-${button.dataset.operation}`);
  const isOpen = place.childElementCount > 0;
  button.setAttribute("aria-expanded", String(!isOpen));
  // Two presses can both arrive before the first form is there.
  place.replaceChildren(...(isOpen ? [] : [await formOf(button.dataset)]));
  place.querySelector("input, textarea, button")?.focus();
});

/** An element with attributes and children. */
function make(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The form of an operation, with a field for each parameter and the example of the body. */
async function formOf({ operation, method, path }) {
  description ??= (await fetch("/openapi.json")).json();
  const { parameters, requestBody } = (await description).paths[path][method.toLowerCase()];
  const fields = parameters.map((parameter) => {
    const id = `${operation}-${parameter.in}-${parameter.name}`;
    const field = make("input", { id, autocomplete: "off", spellcheck: "false" });
    if (parameter.required) field.required = true;
    if (parameter.in === "path") field.value = parameter.example ?? "";
    return { ...parameter, field, row: make("p", {}, make("label", { for: id }, parameter.name), field) };
  });
  const [mediaType, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  const example = content ? written(mediaType, content.example) : "";
  const rows = String(example.split("\n").length + 1);
  const body = make("textarea", { id: `${operation}-body`, rows, spellcheck: "false" });
  body.value = example;
  const form = make("form", { class: "try" }, ...fields.map(({ row }) => row));
  if (content) form.append(make("p", {}, make("label", { for: body.id }, `Body (${mediaType})`), body));
  const answer = make("div", { role: "status" });
  form.append(make("button", {}, `Send ${method}`), answer);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(method, path, fields, content && { mediaType, text: body.value }, answer);
  });
  return form;
}

/** An example as the text of a body. */
function written(mediaType, example) {
  return mediaType.endsWith("json") ? JSON.stringify(example, null, 2) : String(new URLSearchParams(example));
}

/** Sends the request and shows the answer. */
async function send(method, path, fields, body, answer) {
  const values = (place) => fields.filter((each) => each.in === place && each.field.value);
  const url = path.replace(/{(\w+)}/g, (_, name) =>
    encodeURIComponent(fields.find((each) => each.in === "path" && each.name === name).field.value),
  );
  const query = new URLSearchParams(values("query").map(({ name, field }) => [name, field.value]));
  const headers = new Headers(values("header").map(({ name, field }) => [name, field.value]));
  const authorization = authorizationOf(new FormData(credentials));
  if (authorization) headers.set("Authorization", authorization);
  const options = { method, headers, credentials: "omit", cache: "no-store" };
  // A browser sends no body with GET.
  if (body?.text && method !== "GET") {
    headers.set("Content-Type", body.mediaType);
    options.body = body.text;
  }
  answer.textContent = "Sending.";
  try {
    const response = await fetch(`${url}${String(query) && `?${query}`}`, options);
    const text = await response.text();
    answer.replaceChildren(
      make("p", {}, make("b", {}, String(response.status)), ` ${response.headers.get("Content-Type") ?? ""}`),
      make("pre", {}, indented(text)),
    );
  } catch (error) {
    answer.textContent = `The request was not sent: ${error.message}`;
  }
}

function authorizationOf(form) {
  if (form.get("token")) return `Bearer ${form.get("token")}`;
  return form.get("id") ? `Basic ${btoa(`${form.get("id")}:${form.get("key")}`)}` : "";
}

function indented(text) {
  try {
    // Numbers with more digits than a double has would change: only what stays the same is indented.
    const parsed = JSON.parse(text);
    return JSON.stringify(parsed) === text ? JSON.stringify(parsed, null, 2) : text;
  } catch {
    return text;
  }
}
