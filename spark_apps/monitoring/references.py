"""The references of model versions, from MLflow; each is asked for once."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from control_plane.registry import RegistryRefusedError, RegistryUnavailableError
from spark_apps.drift.reference import FILE, Reference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from control_plane.registry import Registry

log = structlog.get_logger()

_TRIES = 10
_FILE = f"sparkml/{FILE}"  # in the folder that MLflow's Spark flavor keeps the PipelineModel in


class _NoReferenceError(LookupError):
    """A version has none that can be used; the message says why."""


class References:
    """What there is of them. A version without one is passed over, with one line in the log."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._known: dict[int, Reference | None] = {}
        self._failures: Counter[int] = Counter()

    def of(self, versions: Iterable[int]) -> dict[int, Reference]:
        """Return those there are. Raises :class:`control_plane.registry.RegistryUnavailableError`."""
        found = {}
        for version in versions:
            if version not in self._known:
                self._known[version] = self._fetch(version)
            if (reference := self._known[version]) is not None:
                found[version] = reference
        return found

    def _fetch(self, version: int) -> Reference | None:
        try:
            return self._registered(version)
        except (RegistryRefusedError, ValidationError, _NoReferenceError) as error:
            reason = str(error).splitlines()[0]
            log.warning("monitoring.no_reference", model_version=version, reason=reason)
            return None

    def _registered(self, version: int) -> Reference:
        digest = self._registry.version(version).reference
        if digest is None:
            raise _NoReferenceError("it was registered without one")
        reference = Reference.model_validate_json(self._file(version))
        if reference.digest != digest:
            raise _NoReferenceError("its digest is not the one that was registered")
        return reference

    def _file(self, version: int) -> bytes:
        # MLflow answers, or this would not be asked: no window waits for ever for one file it fails to give.
        try:
            return self._registry.file_of(version, _FILE)
        except RegistryUnavailableError as error:
            self._failures[version] += 1
            if self._failures[version] < _TRIES:
                raise
            raise _NoReferenceError(str(error)) from error
