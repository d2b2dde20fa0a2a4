"""Alembic's entry: one connection, handed over by `upgrade` in `migrations/walk.py`."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
