"""A keyring against stock Fernet: `python -m benchmarks.keyring` prints microseconds a call, and a token of a batch.

Both sides of a row run in many short turns, one after the other, so that other load on the machine slows both.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from cryptography.fernet import Fernet, MultiFernet

from benchmarks.goals import Goal, show
from keyring_core import Key, Keyring

TURNS = 61
CALLS = 200
PLAINTEXT = "sk-live-0123456789abcdefghijklmnopqrstuvwxyz"
BATCH = 1000
SECRET = "x" * 40

Call = Callable[[], object]


def seconds_of(call: Call, calls: int) -> float:
    """Seconds for one call, over one turn."""
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - started) / calls


def turns_of(ours: Call, stock: Call, calls: int = CALLS) -> tuple[float, float, float]:
    """The medians of both, in microseconds, and the median of their ratios turn by turn."""
    turns = []
    for turn in range(TURNS):
        # Each goes first every other turn.
        if turn % 2:
            mine, theirs = seconds_of(ours, calls), seconds_of(stock, calls)
        else:
            theirs, mine = seconds_of(stock, calls), seconds_of(ours, calls)
        turns.append((mine, theirs))
    # The first turn of each warms caches up.
    mine, theirs = (statistics.median(each) * 1e6 for each in zip(*turns[1:], strict=True))
    return mine, theirs, statistics.median(mine / theirs for mine, theirs in turns[1:])


def rows() -> list[tuple[str, float | None, Call, Call]]:
    """What is compared: a name, at most how many times as slow (an aim, or None), the keyring's call, stock's."""
    keys = [Key.generate() for _ in range(5)]
    table: list[tuple[str, float | None, Call, Call]] = []
    for count in (1, 2, 5):
        ring = Keyring(keys[0], keys[1:count])
        fernets = [Fernet(key.reveal()) for key in keys[:count]]
        # Stock's fastest way of having one key is a Fernet.
        stock = fernets[0] if count == 1 else MultiFernet(fernets)
        token = fernets[-1].encrypt(PLAINTEXT.encode()).decode()
        name = f"decrypt, {count} {'key' if count == 1 else 'keys, token under the last'}"
        table.append((name, {1: 1.25, 5: 1.0}.get(count), *decrypts(ring, stock, token)))
        if count > 1:
            table.append((f"rotate, {count} keys, token under the last", None, *rotates(ring, stock, token)))
            current = fernets[0].encrypt(PLAINTEXT.encode()).decode()
            table.append((f"rotate, {count} keys, current token", None, *rotates(ring, stock, current)))
    ring, stock = Keyring(keys[0]), Fernet(keys[0].reveal())
    table.append(("encrypt", None, lambda: ring.encrypt(PLAINTEXT), lambda: stock.encrypt(PLAINTEXT.encode()).decode()))
    return sorted(table, key=lambda row: ["decrypt", "encrypt", "rotate"].index(row[0].split(",")[0]))


def decrypts(ring: Keyring, stock: Fernet | MultiFernet, token: str) -> tuple[Call, Call]:
    assert ring.decrypt(token) == stock.decrypt(token).decode() == PLAINTEXT
    return lambda: ring.decrypt(token), lambda: stock.decrypt(token).decode()


def rotates(ring: Keyring, stock: Fernet | MultiFernet, token: str) -> tuple[Call, Call]:
    assert isinstance(stock, MultiFernet)
    return lambda: ring.rotate(token), lambda: stock.rotate(token)


def batches() -> list[tuple[str, float | None, Call, Call]]:
    """What is compared batch by batch: a name, the least speed-up, the keyring's call, a loop over stock's."""
    keys = [Key.generate() for _ in range(5)]
    table: list[tuple[str, float | None, Call, Call]] = []
    for count, least in ((2, 5.0), (5, 7.0)):
        ring, stock = Keyring(keys[0], keys[1:count]), MultiFernet([Fernet(key.reveal()) for key in keys[:count]])
        tokens = [keys[count - 1].fernet.encrypt(SECRET.encode()).decode() for _ in range(BATCH)]
        assert [stock.decrypt(str(token)).decode() for token in ring.rotate_many(tokens)] == [SECRET] * BATCH
        name = f"rotate_many, {count} keys, tokens under the last"
        table.append((name, least, *many(ring.rotate_many, stock.rotate, tokens)))
    ring, fernet = Keyring(keys[0]), Fernet(keys[0].reveal())
    tokens, texts = ring.encrypt_many([SECRET] * BATCH), [SECRET] * BATCH
    assert ring.identify_many(tokens) == [ring.primary] * BATCH
    table.append(
        ("identify_many, against extract_timestamp", 3.0, *many(ring.identify_many, fernet.extract_timestamp, tokens))
    )
    table.append(("decrypt_many", None, *many(ring.decrypt_many, lambda token: fernet.decrypt(token).decode(), tokens)))
    table.append(("encrypt_many", None, *many(ring.encrypt_many, lambda text: fernet.encrypt(text.encode()), texts)))
    return table


def many(ours: Callable[[list[str]], object], stock: Callable[[str], object], texts: list[str]) -> tuple[Call, Call]:
    return lambda: ours(texts), lambda: [stock(text) for text in texts]


def compare() -> list[Goal]:
    """Prints both tables; returns the goals."""
    goals = []
    print(
        f"{len(PLAINTEXT)} characters of plaintext; median of {TURNS - 1} turns of {CALLS} calls, microseconds a call\n"
    )
    print(f"{'':48}{'keyring':>10}{'stock':>10}{'ratio':>10}")
    for name, most, ours, stock in rows():
        mine, theirs, ratio = turns_of(ours, stock)
        print(f"{name:48}{mine:10.1f}{theirs:10.1f}{ratio:10.2f}")
        if most is not None:
            goals.append(Goal(f"{name}, against stock", ratio, most))
    print(f"\n{BATCH} tokens of {len(SECRET)}-byte secrets at once, microseconds a token\n")
    print(f"{'':48}{'keyring':>10}{'stock':>10}{'faster':>10}")
    for name, least, ours, stock in batches():
        mine, theirs, ratio = turns_of(ours, stock, calls=1)
        print(f"{name:48}{mine / BATCH:10.2f}{theirs / BATCH:10.2f}{1 / ratio:9.1f}x")
        if least is not None:
            goals.append(Goal(f"{name}, against a loop over stock", 1 / ratio, least, at_least=True))
    print()
    return goals


if __name__ == "__main__":
    show(compare())
