"""`python -m benchmarks.types`: 10,000 rows through the SQLAlchemy types and through those of other packages.

Text, dates, and text with a blind index, by which each hundredth row is looked up alone. In one run and one turn after
the other. Needs the PostgreSQL server of the tests; `--only sqlite` needs none.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import sqlalchemy as sa
from advanced_alchemy.types import EncryptedText as AdvancedText
from sqlalchemy.orm import Session, registry
from sqlalchemy_utils import StringEncryptedType
from sqlalchemy_utils.types.encrypted.encrypted_type import AesEngine, AesGcmEngine, FernetEngine

from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedText
from tests.databases import open_database
from tests.keys import key_text

ROWS, SECRET_LENGTH, TURNS = 10_000, 40, 5
KINDS = ("sqlite", "postgresql")
SECRET = "a secret of nobody"
TYPES: dict[str, Callable[[], Any]] = {
    "Text": sa.Text,
    "EncryptedText": EncryptedText,
    "EncryptedText, bound": lambda: EncryptedText(context=True),
    "advanced-alchemy, Fernet": lambda: AdvancedText(key=SECRET),
    "sqlalchemy-utils, Fernet": lambda: StringEncryptedType(sa.Text, SECRET, FernetEngine),
    "sqlalchemy-utils, AES": lambda: StringEncryptedType(sa.Text, SECRET, AesEngine, "pkcs5"),
    "sqlalchemy-utils, AES-GCM": lambda: StringEncryptedType(sa.Text, SECRET, AesGcmEngine),
}


DATES: dict[str, Callable[[], Any]] = {
    "Date": sa.Date,
    "EncryptedText(of=Date)": lambda: EncryptedText(of=sa.Date()),
    "sqlalchemy-utils, Fernet, Date": lambda: StringEncryptedType(sa.Date, SECRET, FernetEngine),
}
INDEXED = "EncryptedText, blind index"


class Case:
    """A table with one column of the type to measure, and its class."""

    def __init__(self, number: int, make: Callable[[], Any], values: Sequence[Any], *, index: bool = False) -> None:
        self.values = values
        mapping = registry()
        columns = [sa.Column("id", sa.Integer, primary_key=True), sa.Column("value", make())]
        columns += [sa.Column("value_index", BlindIndexOf("value"), index=True)] if index else []
        self.table = sa.Table(f"t_types_{number}", mapping.metadata, *columns)
        self.row = type("Row", (), {})
        mapping.map_imperatively(self.row, self.table)
        self.seconds: dict[str, list[float]] = {"write": [], "read": [], "read rows": []}
        self.found: list[float] = []
        self._index = self.table.c.get("value_index")

    def turn(self, engine: sa.Engine) -> None:
        """Writes and reads everything once."""
        self.table.drop(engine, checkfirst=True)
        self.table.create(engine)
        self._time("write", lambda: self._write(engine, self.values))
        self._time("read", lambda: self._read(engine, self.values))
        self._time("read rows", lambda: self._read_rows(engine, self.values))
        if self._index is not None:
            self._look_up(engine, self.values[::100])
        self.table.drop(engine)

    def _look_up(self, engine: sa.Engine, values: Sequence[Any]) -> None:
        began = time.perf_counter()
        with engine.connect() as connection:
            for number, value in enumerate(values):
                query = sa.select(self.table.c.id).where(self._index == value)
                assert connection.scalar(query) == number * 100
        self.found.append((time.perf_counter() - began) / len(values))

    def _time(self, name: str, work: Callable[[], None]) -> None:
        began = time.perf_counter()
        work()
        self.seconds[name].append(time.perf_counter() - began)

    def _write(self, engine: sa.Engine, values: Sequence[Any]) -> None:
        with Session(engine) as session, session.begin():
            for number, value in enumerate(values):
                row = self.row()
                row.id, row.value = number, value  # type: ignore[attr-defined]
                session.add(row)

    def _read(self, engine: sa.Engine, values: Sequence[Any]) -> None:
        with Session(engine) as session:
            read = [row.value for row in session.scalars(sa.select(self.row).order_by(self.table.c.id))]
        assert read == values

    def _read_rows(self, engine: sa.Engine, values: Sequence[Any]) -> None:
        with engine.connect() as connection:
            query = sa.select(self.table.c.value).order_by(self.table.c.id)
            assert connection.execute(query).scalars().all() == values


def compare(kinds: Sequence[str] = KINDS) -> None:
    """Prints microseconds a row, by database and type."""
    os.environ["ENCRYPTION_KEY"] = key_text("new")
    texts = [f"{number:0{SECRET_LENGTH}}" for number in range(ROWS)]
    dates = [date.fromordinal(700_000 + number) for number in range(ROWS)]
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
            engine = sa.create_engine(database.url)
            kinds_of_values = [*((each, texts) for each in TYPES.items()), *((each, dates) for each in DATES.items())]
            cases = {name: Case(number, make, values) for number, ((name, make), values) in enumerate(kinds_of_values)}
            cases[INDEXED] = Case(len(cases), EncryptedText, texts, index=True)
            for _ in range(TURNS):
                for case in cases.values():
                    case.turn(engine)
            engine.dispose()
        print(f"{kind}, {ROWS:,} rows, {SECRET_LENGTH} characters; microseconds a row, median of {TURNS} turns\n")
        print(f"{'':32}" + "".join(f"{name:>14}" for name in ("write, ORM", "read, ORM", "read, Core")))
        for name, case in cases.items():
            cells = [median(seconds) / ROWS * 1e6 for seconds in case.seconds.values()]
            print(f"{name:32}" + "".join(f"{cell:14.1f}" for cell in cells), flush=True)
        print(f"\none lookup by the index, a statement of its own: {median(cases[INDEXED].found) * 1e6:.0f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=KINDS, action="append", help="only this database; repeatable")
    compare(parser.parse_args().only or KINDS)


if __name__ == "__main__":
    main()
