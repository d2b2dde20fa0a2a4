"""Connectors: each reads one kind of bank. Connectors use neither the database nor the API."""
