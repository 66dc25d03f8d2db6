"""One module per schema version, applied in order when a database is opened."""
