/**
 * What the page leaves in its tab: the session, so that a reload continues it, and an entry of the history for Back.
 * Another tab, and another site around the page, has a storage of its own.
 */

const KEY = "coatcheck-widget";

/**
 * @typedef {object} Kept
 * @property {string} link the path of the link that was opened
 * @property {string} token of the session
 * @property {string} [member] the guid of the member that was shown last
 */

/** @param {Partial<Kept>} changes */
export function keep(changes) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ ...kept(), ...changes }));
  } catch {
    // The browser allows no storage here. A reload ends the session.
  }
}

/** @returns {Kept | null} */
export function kept() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

export function forget() {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // As above: nothing was kept.
  }
}

/**
 * The browser's Back goes to the screen before. One more entry in the history stands for all screens that have one.
 * @param {() => void} onBack called when the user presses Back while `allow(true)` holds
 */
export function createBack(onBack) {
  let hasEntry = false;
  let isAllowed = false;
  window.addEventListener("popstate", () => {
    hasEntry = false;
    if (isAllowed) onBack();
  });

  /** @param {boolean} canGoBack */
  function allow(canGoBack) {
    isAllowed = canGoBack;
    if (!canGoBack || hasEntry) return;
    history.pushState(null, "");
    hasEntry = true;
  }
  return { allow };
}
