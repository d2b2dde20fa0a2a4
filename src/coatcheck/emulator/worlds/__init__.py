"""Worlds: the clients, processors, users, members and accounts of a sandbox, as YAML."""
