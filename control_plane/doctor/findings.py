"""What a check found. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class Level(StrEnum):
    """How bad it is: nothing to do, worth a look, or in the way."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report: what was looked at, what was found, and what to do about it, if anything."""

    check: str
    level: Level
    found: str
    remedy: str | None = None

    def line(self) -> str:
        """Return the finding as one line of columns."""
        said = f"{self.found}: {self.remedy}" if self.remedy else self.found
        return f"{self.level:<8} {self.check:<9} {said}"


def ok(check: str, found: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Level.OK, found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """Return a finding that is worth a look."""
    return Finding(check, Level.WARNING, found, remedy)


def problem(check: str, found: str, remedy: str) -> Finding:
    """Return a finding that is in the way."""
    return Finding(check, Level.PROBLEM, found, remedy)


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is in the way."""
    return all(finding.level is not Level.PROBLEM for finding in findings)


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return the findings as ``pipelines doctor --json`` prints them."""
    return {"healthy": healthy(findings), "findings": [asdict(finding) for finding in findings]}
