/**
 * The widget with the settings that the page around it sends, for the staff of a client. It has no session and sends no
 * request: its policy forbids that. After the sign-in form of a bank, the preview starts again.
 *
 *     preview -> page   {type: "preview/ready"}, {type: "preview/readability", ratio, needed}
 *     page -> preview   {preview: {name, accent_color, logo, privacy_url, readers, color_scheme}}
 */

import { ApiError } from "./api.js";
import { createFlow } from "./flow.js";
import { applyTheme, readability } from "./theme.js";

const { origin } = window.location;
const node = document.getElementById("boot");
const boot = JSON.parse(node.textContent);
let shown = null;

window.addEventListener("message", (message) => {
  const settings = message.data?.preview;
  if (message.origin !== origin || message.source !== window.parent || !settings) return;
  const { accent_color: accent, ...others } = settings;
  // The page asks again for what it should show when it is loaded again.
  if (shown && JSON.stringify(others) !== shown) window.location.reload();
  else show(settings, JSON.stringify(others));
  tell({ type: "preview/readability", ...readability(accent) });
});
tell({ type: "preview/ready" });

function tell(message) {
  window.parent.postMessage(message, origin);
}

function show({ name, accent_color: accent, logo, privacy_url, readers, color_scheme }, others) {
  applyTheme(color_scheme, accent);
  if (shown) return;
  shown = others;
  const start = { ...boot.start, consent: { ...boot.start.consent, privacy_url, readers } };
  const client = { ...boot.client, name, logo_url: logo };
  createFlow(document.getElementById("app"), { ...boot, client, start }, () => apiOf(start));
}

function apiOf(start) {
  const restart = async () => {
    throw new ApiError(403, { error: { type: "consent_required" } });
  };
  return {
    async get(path) {
      if (path === "/start") return start;
      if (path.endsWith("/credentials")) return { credentials: boot.credentials };
      return { institutions: boot.institutions, page: 1, total_pages: 1 };
    },
    post: async (path) => (path === "/consent" ? { ...start, step: "search" } : restart()),
    put: restart,
    delete: restart,
    upload: restart,
  };
}
