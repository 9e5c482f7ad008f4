"""Which commands of the README are typed word for word, and by what; for the others, why not."""

from __future__ import annotations

from tests.markdown import blocks, read

STORY = "tests/integration/test_demo.py"
COMPOSE = "tests/compose/test_story.py"
CI = ".ci/run"

#: By the words with which a line begins; the longest counts.
_TYPED_BY = {
    "make demo": STORY,
    "make test": CI,
    ".venv/bin/pipelines": STORY,
    "MONITORING_DRIFT_WINDOW=30 .venv/bin/pipelines": STORY,
    "echo": STORY,
    "curl": STORY,
    "k8s/images/build": CI,
    # Nobody may pass the dataset on, so no test can have it.
    "make demo DATASET=used_cars_data.csv": None,
    "docker compose": COMPOSE,
    "put=": COMPOSE,
    "$put": COMPOSE,
    # tests/cluster applies the same folder, in its own namespace and with its own kubectl.
    "kubectl apply": None,
}


def commands() -> dict[str, str | None]:
    """Return the commands of the README in their order, with the file that types each, or None.

    Raises: :class:`LookupError` for a command that is not known here.
    """
    lines = dict.fromkeys(line for block in blocks(read("README.md")) for line in block.commands)
    return {line: _typed_by(line) for line in lines}


def typed_by(file: str) -> list[str]:
    """Return what a file has to type, in the order of the README."""
    return [line for line, by in commands().items() if by == file]


def _typed_by(line: str) -> str | None:
    known = [words for words in _TYPED_BY if line.startswith(words)]
    if not known:
        raise LookupError(f"nothing is known of what the README says: {line}")
    return _TYPED_BY[max(known, key=len)]
