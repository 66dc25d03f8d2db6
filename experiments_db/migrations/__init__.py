"""Alembic migrations: the one place that may speak a database's own dialect."""
