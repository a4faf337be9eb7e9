"""The number of rows of the next batch: as many as fit a time and a size."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_ROWS = 1000
"""The first batch is small: the size of the rows is not known yet."""


@dataclass
class BatchSize:
    """Aims at batches of *seconds* and *max_bytes*, of at most *max_rows*. Grows by doubling, shrinks at once."""

    max_rows: int
    seconds: float = 0.5
    max_bytes: int = 8 * 1024 * 1024
    rows: int = FIRST_ROWS

    def __post_init__(self) -> None:
        self.rows = min(self.rows, self.max_rows)

    def limit(self, max_rows: int) -> None:
        """From here on at most *max_rows*."""
        self.max_rows = max_rows
        self.rows = min(self.rows, max_rows)

    def took(self, rows: int, seconds: float, size: int) -> None:
        """Adapts to a batch of *rows* that took *seconds* and had *size* bytes."""
        fits_time = rows * self.seconds / max(seconds, 1e-6)
        fits_bytes = rows * self.max_bytes / max(size, 1)
        self.rows = max(1, int(min(fits_time, fits_bytes, self.rows * 2, self.max_rows)))
