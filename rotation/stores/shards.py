"""One of several independent jobs that share a table: which rows are its own, by their keys alone.

No job knows of another, and rows come and go, so a row's shard must follow from its key and from nothing else. Whole
numbers are dealt out in blocks, which a job can jump between; keys of other types by a checksum.
"""

from __future__ import annotations

from dataclasses import dataclass

from rotation.model.failures import UsageError

BLOCK_BITS = 13
"""8192 keys that follow each other are of one shard."""


@dataclass(frozen=True)
class Shard:
    """The *index*-th, from 0, of *count*."""

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
        """The next keys behind *key* that are of this shard and of one block: behind the first, up to the second."""
        block = (key + 1) >> BLOCK_BITS
        ahead = (self.index - block) % self.count
        first = (block + ahead) << BLOCK_BITS
        return max(key, first - 1), first + (1 << BLOCK_BITS) - 1
