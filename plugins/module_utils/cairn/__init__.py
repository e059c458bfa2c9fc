"""Shared code of Cairn's plugins and modules."""
