/**
 * The browser's Back goes to the screen before. One more entry in the history stands for all screens that have one.
 */

/** @param {() => void} onBack called when the user presses Back while `allow(true)` holds */
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
