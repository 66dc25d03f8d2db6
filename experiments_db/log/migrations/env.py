"""Alembic's entry: run with a connection that `lakatos.experiments_db.log.database` hands over."""

from alembic import context

from lakatos.experiments_db.log import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
