"""How large a file may be, and what decoding it may cost."""

from __future__ import annotations

from dataclasses import dataclass, replace

_HEADER_SECONDS = 2.0


@dataclass(frozen=True)
class Limits:
    """Limits that a file must keep to. Sizes are checked in the header, before anything is decoded.

    Attributes
    ----------
    file_bytes
        Largest file.
    min_side, max_side
        Range of rows and of columns.
    max_pixels
        Most pixels in one image.
    seconds, memory_bytes
        What ``IsolatedReader`` allows its worker for one file: time, and memory beyond that of the idle worker.
    """

    file_bytes: int = 1 << 30
    min_side: int = 64
    max_side: int = 20_000
    max_pixels: int = 100_000_000
    seconds: float = 60.0
    memory_bytes: int = 3 << 30

    def __post_init__(self) -> None:
        if not (0 < self.min_side <= self.max_side):
            raise ValueError(f"min_side {self.min_side} and max_side {self.max_side} are not a range")
        if min(self.file_bytes, self.max_pixels, self.seconds, self.memory_bytes) <= 0:
            raise ValueError(f"limits must be positive, got {self}")

    @property
    def of_header(self) -> Limits:
        """For a header alone, which takes milliseconds: a file that holds up the look at many is given up soon."""
        return replace(self, seconds=min(self.seconds, _HEADER_SECONDS))

    def size_problem(self, rows: int, columns: int) -> str | None:
        """What is wrong with the size of an image, None where it may be decoded."""
        for name, side in (("rows", rows), ("columns", columns)):
            if not self.min_side <= side <= self.max_side:
                return f"has {side} {name}, they must be in the range ({self.min_side}, {self.max_side})"
        if rows * columns > self.max_pixels:
            return f"has {columns} x {rows} pixels, more than {self.max_pixels / 1e6:g} million"
        return None


DEFAULT_LIMITS = Limits()
