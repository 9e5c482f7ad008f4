"""What must hold of the topics before a server may promise anything; each violation has its own sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from control_plane import topic_facts
from control_plane.audit import LogUnavailableError
from control_plane.topics import LISTINGS, PREDICTIONS

if TYPE_CHECKING:
    from control_plane.settings import Topics


class PreconditionError(RuntimeError):
    """The topics do not allow the promise; the message says what is wrong and what to do."""


def check(bootstrap_servers: str, demanded: Topics, output: str = PREDICTIONS) -> int:
    """Return the number of partitions of ``listings``, or raise :class:`PreconditionError`."""
    try:
        facts = topic_facts.read(bootstrap_servers, (LISTINGS, output))
    except LogUnavailableError as error:
        raise PreconditionError(str(error)) from error
    if problems := topic_facts.violations(facts, demanded, output):
        raise PreconditionError("; ".join(problems))
    return facts[LISTINGS].partitions
