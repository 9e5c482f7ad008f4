"""Why a job failed, as it says so itself in the file that ``TERMINATION_MESSAGE_PATH`` names. Pure.

The file is Kubernetes' own convention, and so is its size. It holds one JSON object; any other text, such as
the end of a log that Kubernetes takes in its place, is a reason and nothing more.
"""

from __future__ import annotations

import json
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

LONGEST_MESSAGE = 4096  # bytes; Kubernetes cuts a longer one

_REASONS = (500, 250, 100)  # characters of the reason, the first that leaves room for the profile


class Finding(BaseModel):
    """One thing in which a batch is beyond a bound. Shares are of 1; other values in the column's unit."""

    model_config = ConfigDict(frozen=True)
    what: str
    was: float | None  # in the last accepted batch; null where there is nothing to compare with
    now: float
    bound: float


class RefusedProfile(BaseModel):
    """The profile of a refused batch in short, with what was found; the whole one is kept in the MLflow run.

    ``dropped`` is the share of the rows by the rule that dropped or quarantined them, ``missing`` the share
    of the usable rows without a value by column, ``medians`` are by column.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")
    run_id: str | None = None
    rows: int
    findings: tuple[Finding, ...]
    dropped: dict[str, float] = {}
    missing: dict[str, float] = {}
    medians: dict[str, float] = {}


class Failure(BaseModel):
    """Why a job failed. ``final`` when trying again cannot help; ``profile`` of a batch that was refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")  # a line of a log is no message, whatever it says
    reason: str
    final: bool = False
    profile: RefusedProfile | None = None

    def message(self) -> str:
        """Return the message, of fewer bytes than Kubernetes keeps."""
        for longest in _REASONS:
            message = self._shortened(longest)
            if len(message) < LONGEST_MESSAGE:
                return message
        return self.model_copy(update={"profile": None})._shortened(_REASONS[-1])

    def _shortened(self, longest: int) -> str:
        fields = self.model_copy(update={"reason": self.reason[:longest]}).model_dump(mode="json")
        return json.dumps(fields)  # ASCII: a byte a character

    @classmethod
    def read(cls, message: str) -> Self:
        """Read what a job left."""
        try:
            return cls.model_validate_json(message)
        except ValidationError:
            return cls(reason=message)
