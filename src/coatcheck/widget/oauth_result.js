// Posts the result of the sign-in to the window that opened this one: our own page, or one of an origin on the list.
(() => {
  "use strict";
  const { type, memberGuid, errorReason, origins } = document.querySelector("main").dataset;
  if (!type || !window.opener) return;

  const message = { mx: true, type, metadata: { member_guid: memberGuid, error_reason: errorReason ?? null } };
  // The browser delivers a message only to a page of that origin (HTML 9.3.3).
  for (const origin of [location.origin, ...(origins?.split(" ") ?? [])]) window.opener.postMessage(message, origin);
})();
