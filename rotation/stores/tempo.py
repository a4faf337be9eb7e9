"""How large batches may be in a database."""

from __future__ import annotations

from typing import NamedTuple


class Tempo(NamedTuple):
    """Rows of a batch, and the rest after it."""

    gentle_rows: int = 200
    """Beside services: few enough that they hardly wait for the locks of one batch."""
    rest: float = 3.0
    """Beside services: how long to rest after a batch that wrote, as a multiple of its time."""
    fast_rows: int = 1000
    """If nobody else writes; the first one who does meets one such batch."""
    full_rows: int = 5000
    """If no service has to wait: fewer and larger transactions are faster."""
