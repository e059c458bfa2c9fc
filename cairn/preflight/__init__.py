"""Preflight's checks: pure functions from what is known to findings."""
