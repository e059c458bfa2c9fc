"""The database server of this host."""
