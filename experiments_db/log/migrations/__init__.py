"""Alembic migrations: the one place that may speak a database's own dialect.

env       how Alembic runs them
guards    the triggers, whose text is frozen
versions  one module per schema version
"""
