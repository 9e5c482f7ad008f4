"""A saved ``PipelineModel`` as its files describe it: reading them is quicker than asking the JVM."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_DROPPED = re.compile(r"EXCEPT \(([^)]*)\)")
_LAST_ALIAS = re.compile(r" AS (\w+) FROM ")


@dataclass(frozen=True)
class Stage:
    """A stage: the name of its class, its parameters, all that its description says, its folder."""

    kind: str
    params: Mapping[str, Any]
    about: Mapping[str, Any]
    folder: Path

    @classmethod
    def read(cls, folder: Path) -> Stage:
        """Read a stage's description."""
        [part] = (folder / "metadata").glob("part-*")
        about = json.loads(part.read_text())
        return cls(about["class"].split(".")[-1], about["defaultParamMap"] | about["paramMap"], about, folder)

    @property
    def makes(self) -> str | None:
        """The column that it adds, the last of several; None where its parameters do not tell."""
        if self.kind == "SQLTransformer":
            aliases = _LAST_ALIAS.search(self.params["statement"])
            return aliases[1] if aliases else None
        return self.params.get("predictionCol") or self.params.get("outputCol")

    def drops(self, column: str) -> bool:
        """Say whether it is SQL that leaves the column out."""
        dropped = _DROPPED.findall(self.params.get("statement", ""))
        return any(column in columns.split(", ") for columns in dropped)


def stages(model: Path) -> list[Stage]:
    """Return the stages of the model saved in the folder, in order."""
    folders = sorted((model / "stages").iterdir(), key=lambda folder: int(folder.name.split("_")[0]))
    return [Stage.read(folder) for folder in folders]
