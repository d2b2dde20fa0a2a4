"""The MX-compatible API: version, caller, transaction, handler, reply."""
