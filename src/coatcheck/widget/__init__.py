"""The widget: the page on which an end user connects a bank, its API, and the return from a bank's sign-in page."""
