"""The one error of the compiler. It always says where."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Location:
    """A line (from 1) of a source file; `file` is relative to the repository where possible."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


class GenerationError(Exception):
    """The source cannot be compiled. `str()` is `file:line: reason`."""

    def __init__(self, location: Location, reason: str) -> None:
        super().__init__(f"{location}: {reason}")
        self.location = location
        self.reason = reason
