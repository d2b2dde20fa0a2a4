// Tells the window that opened this one how signing in at the bank went: a page of ours, or of an origin on the list.
(() => {
  "use strict";
  const { type, memberGuid, errorReason, origins } = document.querySelector("main").dataset;
  if (!type || !window.opener) return;

  const told = { mx: true, type, metadata: { member_guid: memberGuid, error_reason: errorReason ?? null } };
  // A browser delivers to a page of that very origin alone (HTML 9.3.3); the others learn nothing.
  for (const origin of [location.origin, ...(origins?.split(" ") ?? [])]) window.opener.postMessage(told, origin);
})();
