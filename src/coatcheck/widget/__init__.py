"""The widget: the page on which an end user connects a bank, and what that page asks."""
