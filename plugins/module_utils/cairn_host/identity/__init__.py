"""Keystone and what it knows."""
