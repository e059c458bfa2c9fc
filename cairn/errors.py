"""Errors that an operator can act on."""

from __future__ import annotations


class CairnError(Exception):
    """Anything that Cairn refuses; the text says what, where and how to mend it."""


class DescriptionError(CairnError):
    """A service description, or the operator's part of it, says something impossible."""
