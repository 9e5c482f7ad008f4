"""What can go wrong on the machine itself."""

from __future__ import annotations


class SandboxError(RuntimeError):
    """The sandbox cannot run; the message names the thing, the value and the remedy in one sentence."""
