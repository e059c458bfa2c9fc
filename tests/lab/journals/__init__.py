"""Complaints in the journals of a working cloud, and what deleted resources leave on its hosts."""
