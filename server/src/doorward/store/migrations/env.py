"""Alembic's environment: migrations run on the connection that `schema.py` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from doorward.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # Alembic assumes a driver that commits before DDL; ours leaves transactions to `engine.py`.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
