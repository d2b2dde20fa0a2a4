/**
 * Forms: labelled fields that say what is missing, sent once at a time.
 */

import { ApiError } from "./api.js";
import { el, uniqueId } from "./dom.js";
import { icon } from "./icons.js";
import { notice } from "./parts.js";

/**
 * @typedef {object} Field
 * @property {Element} node
 * @property {() => string} value
 * @property {() => boolean} check whether it may be sent; shows what is missing
 * @property {() => void} focus
 * @property {(text: string) => void} [complain] says what else is wrong with the value
 */

/**
 * @param {(key: string, values?: object) => string} t
 * @param {object} options
 * @param {string} options.label
 * @param {Record<string, any>} [options.input] attributes of the input
 * @param {string} [options.hint]
 * @param {import("./dom.js").Child} [options.above] between the label and the input
 * @param {(value: string) => string | null} [options.problem] what is wrong with a value that is not empty
 * @returns {Field}
 */
export function textField(t, { label, input: attributes = {}, hint, above, problem = () => null }) {
  const id = uniqueId("field");
  const isSecret = attributes.type === "password";
  const fault = el("p", { class: "fault", id: `${id}-fault` });
  const input = el("input", {
    type: "text",
    autocapitalize: "none",
    autocorrect: "off",
    spellcheck: "false",
    ...attributes,
    id,
    required: true,
    "aria-describedby": `${hint ? `${id}-hint ` : ""}${id}-fault`,
    oninput: () => say(null),
  });

  function say(text) {
    fault.textContent = text ?? "";
    input.setAttribute("aria-invalid", String(Boolean(text)));
  }

  return {
    node: el(
      "div",
      { class: "field" },
      el("label", { for: id }, label),
      hint && el("p", { class: "hint", id: `${id}-hint` }, hint),
      above,
      el("div", { class: "input" }, input, isSecret && revealButton(t, input, label)),
      fault,
    ),
    value: () => input.value,
    check: () => {
      say(input.value.trim() ? problem(input.value) : t("form.required"));
      return !fault.textContent;
    },
    focus: () => input.focus(),
    complain: (text) => {
      say(text);
      input.focus();
    },
  };
}

function revealButton(t, input, label) {
  const reveal = el("button", { type: "button", class: "icon-button", onclick: () => show(input.type === "password") });
  function show(isShown) {
    input.type = isShown ? "text" : "password";
    reveal.setAttribute("aria-pressed", String(isShown));
    reveal.replaceChildren(icon(isShown ? "eyeOff" : "eye"));
  }
  reveal.setAttribute("aria-label", t("form.reveal", { label }));
  show(false);
  return reveal;
}

/**
 * One of several.
 * @param {(key: string) => string} t
 * @param {object} question
 * @param {string} question.legend
 * @param {{value: string, label: string, note?: string, image?: string}[]} question.options
 * @param {string} [question.chosen] the value that is chosen at first
 * @returns {Field}
 */
export function choiceField(t, { legend, options, chosen }) {
  const name = uniqueId("choice");
  const fault = el("p", { class: "fault", id: `${name}-fault` });
  const inputs = options.map(({ value }) =>
    el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => (fault.textContent = "") }),
  );
  const hasImages = options.some(({ image }) => image);
  const node = el(
    "fieldset",
    { class: hasImages ? "choices images" : "choices", "aria-describedby": fault.id },
    el("legend", {}, legend),
    options.map(({ label, note, image }, index) =>
      el(
        "label",
        { class: "choice" },
        inputs[index],
        image && el("img", { src: image, alt: "" }),
        el("span", {}, label, note && el("span", { class: "quiet" }, note)),
      ),
    ),
    fault,
  );
  const value = () => inputs.find((input) => input.checked)?.value ?? "";
  return {
    node,
    value,
    check: () => {
      fault.textContent = value() ? "" : t("form.choose");
      return Boolean(value());
    },
    focus: () => inputs[0].focus(),
  };
}

/**
 * @param {import("./flow.js").Flow} flow
 * @param {object} options
 * @param {Field[]} options.fields
 * @param {string} options.submit
 * @param {string} options.sending what the button says meanwhile
 * @param {import("./dom.js").Child} [options.below] after the button
 * @param {(error: ApiError) => string | null} [options.explain] the form's own words for a refusal
 * @param {() => Promise<void>} options.send
 */
export function form(flow, { fields, submit, sending, below, explain = () => null, send }) {
  const problem = el("div", { class: "problem" });
  const label = el("span", {}, submit);
  const button = el("button", { type: "submit", class: "button primary" }, label);
  let isSending = false;

  function setSending(now) {
    isSending = now;
    label.textContent = now ? sending : submit;
    button.classList.toggle("sending", now);
    // Not `disabled`, which would throw the focus away.
    button.setAttribute("aria-disabled", String(now));
  }

  async function submitted(event) {
    event.preventDefault();
    if (isSending) return;
    problem.replaceChildren();
    const wrong = fields.filter((field) => !field.check());
    if (wrong.length) {
      wrong[0].focus();
      return;
    }
    setSending(true);
    try {
      await send();
    } catch (error) {
      const text = error instanceof ApiError && (explain(error) ?? (error.mayPass && flow.t("form.unreachable")));
      if (text) problem.replaceChildren(notice("alarm", null, text));
      else flow.fail(error);
    } finally {
      setSending(false);
    }
  }

  return el(
    "form",
    { novalidate: true, onsubmit: submitted },
    fields.map((field) => field.node),
    problem,
    el("div", { class: "actions" }, button, below),
  );
}
