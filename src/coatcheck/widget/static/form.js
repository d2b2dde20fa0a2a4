/**
 * Forms with labelled fields that report what is missing. A form has one request at a time.
 */

import { ApiError } from "./api.js";
import { el, icon, uniqueId } from "./dom.js";
import { notice } from "./components.js";

/**
 * @typedef {object} Field
 * @property {Element} node
 * @property {() => string} value
 * @property {() => boolean} check whether the value is valid; shows an error if it is not
 * @property {() => void} focus
 * @property {(text: string) => void} [showError] shows another error
 */

/**
 * @param {(key: string, values?: object) => string} t
 * @param {object} options
 * @param {string} options.label
 * @param {Record<string, any>} [options.input] attributes of the input
 * @param {string} [options.hint]
 * @param {import("./dom.js").Child} [options.above] between the label and the input
 * @param {(value: string) => string | null} [options.problem] the error of a value that is not empty
 * @returns {Field}
 */
export function textField(t, { label, input: attributes = {}, hint, above, problem = () => null }) {
  const id = uniqueId("field");
  const isSecret = attributes.type === "password";
  const error = el("p", { class: "field-error", id: `${id}-error` });
  const input = el("input", {
    type: "text",
    autocapitalize: "none",
    autocorrect: "off",
    spellcheck: "false",
    required: true,
    ...attributes,
    id,
    "aria-describedby": `${hint ? `${id}-hint ` : ""}${id}-error`,
    oninput: () => setError(null),
  });

  function setError(text) {
    error.textContent = text ?? "";
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
      error,
    ),
    value: () => input.value,
    check: () => {
      setError(input.value.trim() ? problem(input.value) : t("form.required"));
      return !error.textContent;
    },
    focus: () => input.focus(),
    showError: (text) => {
      setError(text);
      input.focus();
    },
  };
}

function revealButton(t, input, label) {
  const reveal = el("button", { type: "button", class: "icon-button", onclick: () => setShown(input.type === "password") });
  function setShown(isShown) {
    input.type = isShown ? "text" : "password";
    reveal.setAttribute("aria-pressed", String(isShown));
    reveal.replaceChildren(icon(isShown ? "eyeOff" : "eye"));
  }
  reveal.setAttribute("aria-label", t("form.reveal", { label }));
  setShown(false);
  return reveal;
}

/**
 * A choice of one option, or of several.
 * @param {(key: string) => string} t
 * @param {object} choice
 * @param {string} choice.legend
 * @param {{value: string, label: string, note?: string, image?: string, isChosen?: boolean}[]} choice.options
 *   chosen at first are those with `isChosen`
 * @param {boolean} [choice.several]
 * @returns {Field & {values: () => string[]}}
 */
export function choiceField(t, { legend, options, several = false }) {
  const name = uniqueId("choice");
  const error = el("p", { class: "field-error", id: `${name}-error` });
  const type = several ? "checkbox" : "radio";
  const inputs = options.map(({ value, isChosen }) =>
    el("input", { type, name, value, checked: Boolean(isChosen), onchange: () => (error.textContent = "") }),
  );
  const hasImages = options.some(({ image }) => image);
  const node = el(
    "fieldset",
    { class: hasImages ? "choices images" : "choices", "aria-describedby": error.id },
    el("legend", {}, legend),
    options.map(({ label, note, image }, index) =>
      el(
        "label",
        { class: "choice" },
        inputs[index],
        image && el("img", { src: image, alt: "" }),
        el("span", {}, label, note && el("span", { class: "muted" }, note)),
      ),
    ),
    error,
  );
  const values = () => inputs.filter((input) => input.checked).map((input) => input.value);
  return {
    node,
    values,
    value: () => values()[0] ?? "",
    check: () => {
      error.textContent = values().length ? "" : t(several ? "form.choose_some" : "form.choose");
      return values().length > 0;
    },
    focus: () => inputs[0].focus(),
  };
}

/**
 * A choice from a list that opens.
 * @param {(key: string) => string} t
 * @param {object} options
 * @param {string} options.label
 * @param {{value: string, label: string}[]} options.options
 * @param {string} options.chosen
 * @param {boolean} [options.isRequired] the empty value is not allowed
 * @returns {Field}
 */
export function selectField(t, { label, options, chosen, isRequired = false }) {
  const id = uniqueId("select");
  const error = isRequired && el("p", { class: "field-error", id: `${id}-error` });
  const select = el(
    "select",
    { id, "aria-describedby": isRequired && `${id}-error` },
    options.map((option) => el("option", { value: option.value, selected: option.value === chosen }, option.label)),
  );
  return {
    node: el("div", { class: "field" }, el("label", { for: id }, label), select, error),
    value: () => select.value,
    check: () => {
      if (!isRequired) return true;
      error.textContent = select.value ? "" : t("form.choose");
      return Boolean(select.value);
    },
    focus: () => select.focus(),
  };
}

/**
 * A text that may stay empty.
 * @returns {Field}
 */
export function optionalField(t, options) {
  const field = textField(t, { ...options, input: { autocomplete: "off", maxlength: 200, required: false } });
  return { ...field, check: () => true };
}

/**
 * @param {import("./flow.js").Flow} flow
 * @param {object} options
 * @param {Field[]} options.fields
 * @param {string} options.submit
 * @param {string} options.sending the button's label while the form is sent
 * @param {import("./dom.js").Child} [options.below] after the button
 * @param {(error: ApiError) => string | null} [options.explain] the form's own text for an error
 * @param {() => Promise<void>} options.send
 */
export function form(flow, { fields, submit, sending, below, explain = () => null, send }) {
  const formError = el("div", { class: "form-error" });
  const label = el("span", {}, submit);
  const button = el("button", { type: "submit", class: "button primary" }, label);
  let isSending = false;

  function setSending(now) {
    isSending = now;
    label.textContent = now ? sending : submit;
    button.classList.toggle("sending", now);
    // Not `disabled`, because the button would lose the focus.
    button.setAttribute("aria-disabled", String(now));
  }

  async function submitted(event) {
    event.preventDefault();
    if (isSending) return;
    formError.replaceChildren();
    const invalid = fields.filter((field) => !field.check());
    if (invalid.length) {
      invalid[0].focus();
      return;
    }
    setSending(true);
    try {
      await send();
    } catch (error) {
      const text = error instanceof ApiError && (explain(error) ?? (error.isTemporary && flow.t("form.unreachable")));
      if (text) formError.replaceChildren(notice("error", null, text));
      else flow.fail(error);
    } finally {
      setSending(false);
    }
  }

  return el(
    "form",
    { novalidate: true, onsubmit: submitted },
    fields.map((field) => field.node),
    formError,
    el("div", { class: "actions" }, button, below),
  );
}
