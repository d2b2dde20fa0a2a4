"""Migrations of the schema, in plain SQL, and the code that applies them."""
