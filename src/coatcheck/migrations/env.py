"""Alembic's entry point. It uses the connection that `migrations/upgrade.py` opened."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
