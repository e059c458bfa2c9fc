"""Code of the action plugins."""
