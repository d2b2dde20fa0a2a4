"""One function for each route: look up, call one capability, present."""
