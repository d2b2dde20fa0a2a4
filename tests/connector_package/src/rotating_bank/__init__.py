"""A connector for an institution that replaces the secret at every call, and that institution."""
