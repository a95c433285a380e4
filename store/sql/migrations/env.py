"""Alembic's entry: it migrates the connection that `migrate` gives it, inside that connection's transaction."""

from alembic import context

from store.sql.models import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
context.run_migrations()
