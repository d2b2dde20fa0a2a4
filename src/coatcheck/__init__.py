"""Coatcheck: self-hosted processor tokens, wire-compatible with MX."""
