"""What the source distribution has, by the list in pyproject.toml: whatever the repository tracks."""

from __future__ import annotations

import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BY_ITSELF = {"pyproject.toml", "README.md", "LICENSE", ".gitignore"}  # hatchling takes these always


def test_the_source_distribution_has_what_the_repository_has():
    included = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"][
        "sdist"
    ]
    patterns = [one.removeprefix("/") for one in included["include"]]
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no repository of git's")
    tops = {line.partition("/")[0] for line in listed.stdout.splitlines()}
    left_out = {top for top in tops if not any(fnmatch(top, pattern) for pattern in patterns)}
    assert left_out == BY_ITSELF
    unknown = [pattern for pattern in patterns if not any(fnmatch(top, pattern) for top in tops)]
    assert not unknown
