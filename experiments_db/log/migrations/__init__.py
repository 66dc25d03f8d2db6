"""Alembic migrations: the one place that may speak a database's own dialect.

env       how Alembic runs them
guards    the triggers, whose text is frozen;  guards_before_streams: those of revisions 0002 and 0003
guarding  how a guard becomes triggers of a dialect
versions  one module per schema version
"""
