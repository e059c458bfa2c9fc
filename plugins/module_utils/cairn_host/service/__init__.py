"""Generations of a service on a host: staged, switched to, judged."""
