"""What counting costs: `python -m benchmarks.reads` prints microseconds a value, and how many nanoseconds are counting.

Each pair is the same work with a keyring that counts and with one that does not, in many short turns, one after the
other, each first every other turn. The difference is the median of the differences turn by turn. Encrypting counts
nothing: its line shows how exact the others are.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import django
import sqlalchemy as sa
from django.conf import settings
from django.db import connection, models
from sqlalchemy.orm import Session, registry

from benchmarks.goals import Goal, show
from benchmarks.keyring import BATCH, CALLS, PLAINTEXT, Call, seconds_of
from keyring_core import DamagedToken, Key, Keyring, get_keyring
from keyring_core.integrations.django import EncryptedTextField
from keyring_core.integrations.sqlalchemy import EncryptedText
from keyring_core.keyring import RotationKeyring
from keyring_core.tokens import Token

TURNS = 201
ROWS = 1000
OFTEN, MOST_NANOSECONDS = "decrypt, primary key", 100.0
"""What a service does all day, and the aim for it; a read with another key looks at the clock, too."""


class Uncounted(RotationKeyring):
    """A keyring that opens a token as `Keyring` does, and neither counts nor refuses."""

    def _open(self, key: Key, token: Token) -> bytes:
        plaintext = key.open(token)
        if plaintext is None:
            raise DamagedToken.under(key.id, token.timestamp)
        return plaintext


Rings = tuple[Keyring, Keyring]
"""One that counts, and one that does not."""


class Pair(NamedTuple):
    """The same work with counting and without."""

    name: str
    counted: Call
    uncounted: Call
    values: int = 1
    """The number of values in one call."""
    calls: int = CALLS


class Cost(NamedTuple):
    """Microseconds for one value without counting, and the nanoseconds that counting adds."""

    uncounted: float
    added: float


def cost_of(pair: Pair, turns: int = TURNS) -> Cost:
    """The medians over all turns."""
    differences, uncounted = [], []
    for turn in range(turns):
        if turn % 2:
            mine, other = seconds_of(pair.counted, pair.calls), seconds_of(pair.uncounted, pair.calls)
        else:
            other, mine = seconds_of(pair.uncounted, pair.calls), seconds_of(pair.counted, pair.calls)
        differences.append(mine - other)
        uncounted.append(other)
    # The first turn warms caches up.
    least, added = statistics.median(uncounted[1:]), statistics.median(differences[1:])
    return Cost(least / pair.values * 1e6, added / pair.values * 1e9)


def of_keyrings(primary: Key, previous: Key, rings: Rings) -> Iterator[Pair]:
    """One token at a time, and a batch."""

    def pair(name: str, work: Callable[[Keyring], object], values: int = 1) -> Pair:
        counted, uncounted = rings
        return Pair(name, lambda: work(counted), lambda: work(uncounted), values, 1 if values > 1 else CALLS)

    yield pair("encrypt", lambda ring: ring.encrypt(PLAINTEXT))
    for name, key in (("primary key", primary), ("previous key", previous)):
        tokens = Keyring(key).encrypt_many([PLAINTEXT] * BATCH)
        assert [*map(rings[0].decrypt, tokens)] == rings[1].decrypt_many(tokens)
        yield pair(f"decrypt, {name}", lambda ring, token=tokens[0]: ring.decrypt(token))
        yield pair(f"decrypt_many, {name}", lambda ring, tokens=tokens: ring.decrypt_many(tokens), BATCH)


def of_columns(rings: Rings) -> Iterator[Pair]:
    """Rows under the primary key, read through the types of SQLAlchemy and the fields of Django, SQLite in memory."""
    for name, read in (*sqlalchemy_reads(), *django_reads()):
        assert read() == [PLAINTEXT] * ROWS
        counted, uncounted = (with_ring(ring, read) for ring in rings)
        yield Pair(name, counted, uncounted, ROWS, calls=1)


def with_ring(ring: Keyring, read: Call) -> Call:
    """*read*, while *ring* is the keyring of the process."""

    def call() -> object:
        loaded = get_keyring._loaded
        assert loaded is not None
        get_keyring._loaded = loaded._replace(keyring=ring)
        return read()

    return call


def sqlalchemy_reads() -> Iterator[tuple[str, Call]]:
    """Reads of a table, which is written before."""
    mapping = registry()
    table = sa.Table(
        "rows", mapping.metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("value", EncryptedText)
    )
    row: Any = type("Row", (), {})
    mapping.map_imperatively(row, table)
    engine = sa.create_engine("sqlite://")
    mapping.metadata.create_all(engine)
    with engine.begin() as writing:
        writing.execute(sa.insert(table), [{"value": PLAINTEXT} for _ in range(ROWS)])

    def read_core() -> list[str]:
        with engine.connect() as reading:
            return list(reading.execute(sa.select(table.c.value)).scalars())

    def read_orm() -> list[str]:
        with Session(engine) as session:
            return [each.value for each in session.scalars(sa.select(row))]

    yield "SQLAlchemy, Core", read_core
    yield "SQLAlchemy, ORM", read_orm


def django_reads() -> Iterator[tuple[str, Call]]:
    """Reads of a table, which is written before."""
    settings.configure(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}})
    django.setup()

    class Row(models.Model):
        value = EncryptedTextField()

        class Meta:
            app_label = "benchmarks"

    with connection.schema_editor() as editor:
        editor.create_model(Row)
    Row.objects.bulk_create(Row(value=PLAINTEXT) for _ in range(ROWS))
    yield "Django, values_list", lambda: list(Row.objects.values_list("value", flat=True))
    yield "Django, objects", lambda: [each.value for each in Row.objects.all()]


def compare() -> list[Goal]:
    """Prints the table; returns the goals."""
    primary, previous = Key.generate(), Key.generate()
    os.environ["ENCRYPTION_KEY"] = primary.reveal()
    get_keyring.reset()
    rings = Keyring(primary, [previous]), Uncounted(primary, [previous])
    goals = []
    print(f"{len(PLAINTEXT)} characters of plaintext; medians of {TURNS - 1} pairs of turns\n")
    print(f"{'':32}{'us without':>12}{'ns of counting':>16}")
    for pair in (*of_keyrings(primary, previous, rings), *of_columns(rings)):
        cost = cost_of(pair)
        print(f"{pair.name:32}{cost.uncounted:12.2f}{cost.added:16.0f}", flush=True)
        if pair.name == OFTEN:
            goals.append(Goal(f"counting, {pair.name}", cost.added, MOST_NANOSECONDS, unit="ns"))
    print()
    return goals


if __name__ == "__main__":
    show(compare())
