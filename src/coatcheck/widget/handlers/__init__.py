"""One function for each route: it queries, calls one capability, and converts the result."""
