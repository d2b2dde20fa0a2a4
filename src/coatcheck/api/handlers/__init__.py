"""Request handlers, one module a noun: each finds the records, calls one capability and returns a schema."""
