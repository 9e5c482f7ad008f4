from __future__ import annotations

import numpy as np
import pytest

from control_plane.registry import ModelVersion, RegistryRefusedError, RegistryUnavailableError
from spark_apps.drift.reference import Reference, error_by_width
from spark_apps.monitoring.references import References

REFERENCE = Reference(
    numbers={}, categories={}, outputs={}, errors=error_by_width(np.array([1.0]), np.array([0.5]))
)
FILE = REFERENCE.model_dump_json().encode()


class Versions:
    """A registry's answers: by version the digest of its tag, and its file or why there is none."""

    def __init__(self, versions: dict[int, tuple[str | None, bytes | Exception]]) -> None:
        self.versions = versions
        self.asked: list[int] = []

    def version(self, number: int) -> ModelVersion:
        self.asked.append(number)
        if number not in self.versions:
            raise RegistryRefusedError("there is no such version")
        return ModelVersion(number, "run", reference=self.versions[number][0])

    def file_of(self, version: int, path: str) -> bytes:
        assert path == "sparkml/reference.json"
        content = self.versions[version][1]
        if isinstance(content, Exception):
            raise content
        return content


def test_a_reference_is_asked_for_once():
    versions = Versions({3: (REFERENCE.digest, FILE)})
    references = References(versions)

    assert references.of([3]) == references.of([3]) == {3: REFERENCE}
    assert versions.asked == [3]


@pytest.mark.parametrize(
    "registered",
    [
        {},
        {3: (None, FILE)},
        {3: ("another", FILE)},
        {3: (REFERENCE.digest, b"no JSON")},
        {3: (REFERENCE.digest, b'{"numbers": {}}')},
        {3: (REFERENCE.digest, RegistryRefusedError("no such artifact"))},
    ],
    ids=["unknown", "old", "changed", "garbage", "another schema", "no file"],
)
def test_a_version_without_one_that_can_be_used_is_passed_over_and_not_asked_for_again(registered):
    versions = Versions(registered)
    references = References(versions)

    assert references.of([3]) == references.of([3]) == {}
    assert versions.asked == [3]


def test_a_registry_that_is_away_is_asked_again_and_a_file_that_never_comes_is_given_up():
    references = References(Versions({3: (REFERENCE.digest, RegistryUnavailableError("status 500"))}))

    for _ in range(9):
        with pytest.raises(RegistryUnavailableError):
            references.of([3])
    assert references.of([3]) == {}
