"""Alembic's entry: runs on the connection, and inside the transaction, that `open_ledger` hands over."""

from __future__ import annotations

from alembic import context

from dispatch.store.tables import ledger

context.configure(connection=context.config.attributes["connection"], target_metadata=ledger, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
