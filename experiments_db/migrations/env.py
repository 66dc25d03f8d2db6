"""Alembic's entry: run with a connection that `lakatos.experiments_db.database` hands over."""

from alembic import context

from lakatos.experiments_db.models import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
