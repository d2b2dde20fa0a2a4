/**
 * Starts the page. It reads its data and removes them from the document, and the secret from the URL. Where the link was
 * opened before, it continues the session that this tab keeps, if there is one.
 */

import { ApiError, createApi } from "./api.js";
import { el } from "./dom.js";
import { createFlow } from "./flow.js";
import { isFramedBy } from "./host.js";
import { forget, keep, kept } from "./session.js";
import { applyTheme } from "./theme.js";

const PAGE = "/md/connect";
const root = document.getElementById("app");
const node = document.getElementById("boot");
const opened = JSON.parse(node.textContent);
node.remove();

if (opened) {
  keep({ link: window.location.pathname, token: opened.session_token, member: null });
  start(opened);
} else {
  applyTheme("browser", null);
  await resume();
}

/** @param {object} boot */
function start(boot) {
  history.replaceState(history.state, "", PAGE);
  applyTheme(boot.config.color_scheme, boot.client.accent_color);
  createFlow(root, boot);
}

/** The message that the page contains stays unless the session goes on. */
async function resume() {
  const session = kept();
  const { pathname } = window.location;
  if (!session || ![PAGE, session.link].includes(pathname)) return;
  const message = [...root.childNodes];
  root.replaceChildren(el("main", {}, el("h1", { class: "loading" }, root.dataset.loading)));
  try {
    const boot = await createApi(session.token, () => {}).get("/boot");
    // Only the pages that may embed the widget may show a session that goes on.
    if (!isFramedBy(boot.target_origins)) throw new ApiError(403, {});
    start({ ...boot, session_token: session.token, resumed_member: session.member });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    forget();
    root.replaceChildren(...message);
  }
}
