"""One function for each thing the page can ask: find, ask one room, show."""
