"""The OAuth endpoints for processors that use a standard client library (RFC 6749, 7009, 7662, 8414, 9728)."""
