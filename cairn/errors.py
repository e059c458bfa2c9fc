"""Errors that an operator can act on."""

from __future__ import annotations


class CairnError(Exception):
    """A refusal; the text says what is wrong, where, and how to fix it."""


class DescriptionError(CairnError):
    """A service description, or an operator's override of it, is invalid."""
