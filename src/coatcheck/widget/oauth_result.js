// Tells the window that opened this one how signing in at the bank went.
(() => {
  "use strict";
  const { type, memberGuid, errorReason, origin } = document.querySelector("main").dataset;
  const opener = window.opener;
  if (!type || !opener) return;

  const isOurs = () => {
    try {
      return opener.location.origin === location.origin;
    } catch {
      return false;
    }
  };
  const told = { mx: true, type, metadata: { member_guid: memberGuid, error_reason: errorReason ?? null } };
  if (isOurs()) {
    opener.postMessage(told, location.origin);
  } else if (origin) {
    opener.postMessage(told, origin);
  } else {
    // Nobody said who opened us: whoever it is learns how it went, and not whose it was.
    opener.postMessage({ mx: true, type, metadata: {} }, "*");
  }
})();
