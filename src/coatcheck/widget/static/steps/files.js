/**
 * A statement file of the bank, instead of a sign-in.
 *
 *     choose --uploaded--> preview --confirmed--> imported
 *        `-- cannot be read: where, and for a table which columns it has
 */

import { el, icon, uniqueId } from "../dom.js";
import { form, selectField, optionalField } from "../form.js";
import { actions, button, money, notice, statusIcon } from "../components.js";

export const step = "statementFiles";

/** As the server's limit. */
const MAX_BYTES = 20 * 1024 * 1024;
const COLUMNS = ["date", "description", "amount", "debit", "credit"];

export function show(flow, { file, preview, problem, imported }, signal) {
  if (imported) return done(flow, imported);
  return preview ? check(flow, file, preview, signal) : choose(flow, file, problem, signal);
}

// --- choosing -----------------------------------------------------------------------------------------------

function choose(flow, file, problem, signal) {
  const { t } = flow;
  const id = uniqueId("file");
  const progress = el("progress", { max: 1, "aria-label": t("files.sending"), hidden: true });
  const state = el("p", { class: "muted", "aria-live": "polite" });
  const errors = el("div", {}, problem && notice("error", t("files.unreadable"), whereText(t, problem)));
  const input = el("input", { type: "file", id, class: "visually-hidden", onchange: () => send(input.files[0]) });
  const zone = el(
    "label",
    { class: "drop-zone", for: id, ondragover: over, ondragleave: leave, ondrop: drop },
    icon("file"),
    el("strong", {}, t("files.drop")),
    el("span", { class: "muted" }, t("files.formats")),
    input,
  );

  function over(event) {
    event.preventDefault();
    zone.classList.add("over");
  }

  function leave() {
    zone.classList.remove("over");
  }

  function drop(event) {
    event.preventDefault();
    leave();
    send(event.dataTransfer.files[0]);
  }

  function send(chosen, mapping) {
    if (!chosen || !progress.hidden) return;
    if (chosen.size > MAX_BYTES) {
      errors.replaceChildren(notice("error", t("files.too_large"), t("files.too_large_text")));
      return;
    }
    errors.replaceChildren();
    progress.hidden = false;
    state.textContent = t("files.sending");
    flow.run(signal, async () => {
      try {
        await preparePreview(flow, chosen, mapping, signal, (share) => {
          progress.value = share;
          if (share === 1) state.textContent = t("files.reading");
        });
      } finally {
        progress.hidden = true;
        state.textContent = "";
      }
    });
  }

  const isTable = problem?.columns?.length && ["columns", "date", "decimal_mark"].includes(problem.element);
  const columns = isTable && columnsForm(flow, file, { columns: problem.columns, mapping: null }, signal);
  return {
    title: t("files.title"),
    lead: t("files.lead"),
    body: [errors, columns, zone, progress, state, el("p", { class: "security-note" }, t("files.security"))],
    back: flow.backToSearch,
  };
}

/** Shows what the file has, or where it cannot be read. */
async function preparePreview(flow, file, mapping, signal, onProgress) {
  try {
    const { statement_file: preview } = await flow.api.upload(
      "/statement_files?dry_run=true",
      fieldsOf(file, mapping),
      onProgress,
      signal,
    );
    await flow.go("statementFiles", { file, preview });
  } catch (error) {
    if (error.type !== "unreadable_file") throw error;
    await flow.go("statementFiles", { file, problem: error.body });
  }
}

function fieldsOf(file, mapping) {
  const fields = new FormData();
  fields.append("file", file);
  if (mapping) fields.append("mapping", JSON.stringify(mapping));
  return fields;
}

function whereText(t, { line, element, columns }) {
  if (columns?.length && element === "columns") return t("files.choose_columns");
  if (columns?.length && element === "decimal_mark") return t("files.choose_decimals");
  if (line && element) return t("files.where_both", { line, element });
  if (line) return t("files.where_line", { line });
  return element ? t("files.where_element", { element }) : t("files.where_unknown");
}

// --- checking -----------------------------------------------------------------------------------------------

function check(flow, file, preview, signal) {
  const { t } = flow;
  const { accounts, warnings, mapping } = preview;
  return {
    title: t("files.check"),
    lead: t("files.found", { format: preview.format, file: file.name }),
    body: [
      ...warnings.map((key) => notice("info", null, t(`files.warning_${key}`))),
      el("ul", { class: "accounts" }, accounts.map((each) => el("li", {}, accountLine(flow, each)))),
      rowsTable(flow, preview.rows),
      mapping &&
        el(
          "details",
          { open: warnings.includes("dates") },
          el("summary", {}, t("files.columns")),
          columnsForm(flow, file, preview, signal),
        ),
      form(flow, {
        fields: [],
        submit: t("files.import"),
        sending: t("files.importing"),
        below: button(t("files.another"), () => flow.go("statementFiles"), "secondary"),
        async send() {
          const path = "/statement_files";
          const answer = await flow.api.upload(path, fieldsOf(file, mapping), () => {}, signal);
          await flow.go("statementFiles", { imported: answer.statement_file });
        },
      }),
    ],
    back: () => flow.go("statementFiles"),
  };
}

function accountLine({ t, boot }, { name, added, already_known: known, balance, currency_code: currency }) {
  const details = [
    t("files.added", { count: added }),
    known > 0 && t("files.known", { count: known }),
    balance !== null && t("files.balance", { amount: money(boot.locale, balance, currency) }),
  ];
  return [el("strong", {}, name), el("span", { class: "muted" }, details.filter(Boolean).join(" · "))];
}

/** A table that needs no more width than the page has. */
function rowsTable({ t, boot }, rows) {
  const day = new Intl.DateTimeFormat(boot.locale, { dateStyle: "medium", timeZone: "UTC" });
  const line = ({ date, description, amount, currency_code: currency }) =>
    el(
      "tr",
      {},
      el("td", {}, el("span", { class: "muted" }, day.format(new Date(`${date}T00:00:00Z`))), description),
      el("td", { class: "amount" }, money(boot.locale, amount, currency)),
    );
  return el(
    "table",
    { class: "rows" },
    el("caption", {}, t("files.first_rows")),
    el(
      "thead",
      { class: "visually-hidden" },
      el("tr", {}, el("th", { scope: "col" }, t("files.description")), el("th", { scope: "col" }, t("files.amount"))),
    ),
    el("tbody", {}, rows.map(line)),
  );
}

// --- the columns of a table -----------------------------------------------------------------------------------

/** How the table is read, to be corrected. */
function columnsForm(flow, file, { columns, mapping }, signal) {
  const { t } = flow;
  const headers = columns.map((header) => header.trim());
  const options = headers.map((header, index) => ({ value: String(index), label: header || String(index + 1) }));
  const none = { value: "", label: t("files.no_column") };
  const chosen = (name) => {
    const at = headers.indexOf(mapping?.columns[name]?.trim());
    return at < 0 ? "" : String(at);
  };
  const selects = COLUMNS.map((name) =>
    selectField(t, {
      label: t(`files.${name}`),
      options: [none, ...options],
      chosen: chosen(name),
      isRequired: name === "date",
    }),
  );
  const order = dateOrder(t, mapping?.date_format);
  const decimals = selectField(t, {
    label: t("files.decimals"),
    options: [
      { value: "", label: t("files.decimals_found") },
      { value: ".", label: "1,234.56" },
      { value: ",", label: "1.234,56" },
    ],
    chosen: mapping?.decimal_mark ?? "",
  });
  const sign = selectField(t, {
    label: t("files.sign"),
    options: ["in", "out"].map((value) => ({ value, label: t(`files.sign_${value}`) })),
    chosen: mapping?.is_inverted ? "out" : "in",
  });
  const header = selectField(t, {
    label: t("files.header"),
    options: ["names", "values"].map((value) => ({ value, label: t(`files.header_${value}`) })),
    chosen: mapping && !mapping.has_header ? "values" : "names",
  });
  const account = optionalField(t, { label: t("files.account") });

  function corrected() {
    const hasHeader = header.value() === "names";
    const named = COLUMNS.map((name, index) => [name, selects[index].value()]).filter(([, at]) => at);
    const direction = hasHeader && mapping?.has_header && mapping.columns.direction;
    return {
      ...(mapping && { delimiter: mapping.delimiter }),
      decimal_mark: decimals.value() || null,
      columns: {
        ...Object.fromEntries(named.map(([name, at]) => [name, hasHeader ? headers[at] : String(Number(at) + 1)])),
        ...(direction && { direction }),
      },
      date_format: order?.value() || null,
      is_inverted: sign.value() === "out",
      has_header: hasHeader,
      account: account.value().trim() ? { name: account.value().trim() } : null,
    };
  }

  return form(flow, {
    fields: [...selects, order, decimals, sign, header, account].filter(Boolean),
    submit: t("files.read_again"),
    sending: t("files.reading"),
    explain: (error) => (error.type === "invalid_request" ? t("files.columns_missing") : null),
    send: () => preparePreview(flow, file, corrected(), signal, () => {}),
  });
}

/** 03/04 is a day of March or of April. Without a known format there is nothing to choose. */
function dateOrder(t, format) {
  if (!format?.includes("%d") || !format.includes("%m")) return null;
  const swapped = format.replace(/%[dm]/g, (part) => (part === "%d" ? "%m" : "%d"));
  const [dayFirst, monthFirst] = format.indexOf("%d") < format.indexOf("%m") ? [format, swapped] : [swapped, format];
  return selectField(t, {
    label: t("files.dates"),
    options: [
      { value: dayFirst, label: t("files.dates_day") },
      { value: monthFirst, label: t("files.dates_month") },
    ],
    chosen: format,
  });
}

// --- imported -----------------------------------------------------------------------------------------------

function done(flow, { accounts, member_guid: member }) {
  const { t, config } = flow;
  const added = accounts.reduce((sum, each) => sum + each.added, 0);
  // A client that asked for verified numbers does not get them from a file.
  if (config.mode === "aggregation") flow.post("connect/memberConnected", { member_guid: member });
  return {
    kind: "centred",
    top: statusIcon("check", "success"),
    title: t("files.done"),
    lead: t("files.done_lead", { count: added }),
    body: [
      actions(
        button(t("done"), flow.finish),
        button(t("files.another"), () => flow.go("statementFiles"), "secondary"),
      ),
    ],
  };
}
