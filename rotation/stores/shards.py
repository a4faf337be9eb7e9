"""Which rows of a table belong to one of several independent runs, decided by the key alone.

The runs do not communicate, and rows come and go, so a row's shard depends on its key only. Integer keys are divided
into blocks, so that a run can skip the blocks of others; keys of other types are divided by a checksum.
"""

from __future__ import annotations

from dataclasses import dataclass

from rotation.model.failures import UsageError

BLOCK_BITS = 13
"""Blocks of 8192 consecutive keys belong to one shard."""


@dataclass(frozen=True)
class Shard:
    """Shard *index*, from 0, of *count* shards."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """From `0/3`, `1/3` or `2/3`. Raises UsageError."""
        first, _, second = text.partition("/")
        if first.isascii() and first.isdigit() and second.isascii() and second.isdigit():
            index, count = int(first), int(second)
            if index < count <= 10_000:
                return cls(index, count)
        raise UsageError(f"--shard {text}: expected I/N with I from 0 to N - 1, such as 0/3, 1/3 and 2/3")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def block_behind(self, key: int) -> tuple[int, int]:
        """The next keys of this shard after *key* in one block, as bounds: after the first number, up to the second."""
        block = (key + 1) >> BLOCK_BITS
        ahead = (self.index - block) % self.count
        first = (block + ahead) << BLOCK_BITS
        return max(key, first - 1), first + (1 << BLOCK_BITS) - 1
