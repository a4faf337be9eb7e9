"""`python -m benchmarks.derivation`: what it costs to make a key of a secret, the first time in a process and again."""

from __future__ import annotations

import time
from collections.abc import Callable

from keyring_core import Derivation

SECRET = "a passphrase of 32 characters, ab"
DERIVATIONS = (
    Derivation("sha256"),
    Derivation("hkdf-sha256", info="info"),
    Derivation("pbkdf2-sha256", salt="salt", iterations=100_000),
    Derivation("pbkdf2-sha256", salt="salt", iterations=600_000),
    Derivation("pbkdf2-sha256", salt="salt", iterations=1_200_000),
)


def main() -> None:
    # Loads what a first call would load.
    Derivation("sha256").key("another secret, of no interest")
    print(f"{'milliseconds':44}{'first':>10}{'again':>10}")
    for derivation in DERIVATIONS:
        rounds = f", {derivation.iterations:,} iterations" if derivation.iterations else ""
        first, again = (_milliseconds(lambda each=derivation: each.key(SECRET)) for _ in range(2))
        print(f"{derivation.kind + rounds:44}{first:>10.2f}{again:>10.2f}")


def _milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    main()
