"""Write the generated pages anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from docs.generate import asyncapi, events, settings
from docs.generate.markdown import with_generated

DOCS = Path(__file__).parents[1]

_WIDTH = 110
_FIRST = (
    "# Made by `make docs` from control_plane/events.py, records.py and topics.py; a test holds it to them.\n"
)


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes texts of several lines as they are."""


def _text(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def pages() -> dict[str, str]:
    """Return what the generated files must hold, by name."""
    document = yaml.dump(
        asyncapi.document(), Dumper=_Dumper, sort_keys=False, width=_WIDTH, allow_unicode=True
    )
    page = (DOCS / "events.md").read_text("utf-8")
    return {
        "asyncapi.yaml": _FIRST + document,
        "events.md": with_generated(page, events.tables()),
        "settings.md": settings.page(),
    }


if __name__ == "__main__":
    for name, content in pages().items():
        (DOCS / name).write_text(content, "utf-8")
