"""Part files of a folder: ``part-00000.csv`` and so on, each with the header."""

from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO


class PartFiles:
    """Writes records to a folder's part files, as many in each as ``sizes`` say, over what stood there."""

    def __init__(self, folder: Path, header: bytes, sizes: Iterable[int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in (*folder.glob("part-*.csv"), *folder.glob("_SUCCESS")):
            stale.unlink()
        self._folder, self._header, self._sizes = folder, header, iter(sizes)
        self.paths: list[Path] = []
        self.rows, self.bytes, self._room = 0, 0, 0
        self._file = self._next_file()

    def write(self, records: list[bytes]) -> None:
        """Append whole records, each with its line end."""
        while records:
            if self._room == 0:
                self._file.close()
                self._file = self._next_file()
            now, records = records[: self._room], records[self._room :]
            self.bytes += self._file.write(b"".join(now))
            self.rows += len(now)
            self._room -= len(now)

    def close(self) -> None:
        """End the last part."""
        self._file.close()

    def _next_file(self) -> BinaryIO:
        self._room = next(self._sizes)
        self.paths.append(self._folder / f"part-{len(self.paths):05d}.csv")
        file = self.paths[-1].open("wb")
        self.bytes += file.write(self._header)
        return file
