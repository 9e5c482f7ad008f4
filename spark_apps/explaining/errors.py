"""Why there is no explanation."""

from __future__ import annotations


class ExplanationError(RuntimeError):
    """A model that cannot be explained; the message says why and what helps."""


class ListingError(ValueError):
    """A listing that gets no price; the message has the reason that serving would answer with."""
