"""The endpoints: one module a group of nouns; each endpoint is described once, in its row."""
