"""`python -m benchmarks.run`: `rotate.py run` beside an ORM loop, row-by-row UPDATEs and the server's minimum.

Needs the servers of the tests; `--only sqlite` needs none.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import sqlalchemy as sa
from cryptography.fernet import Fernet, MultiFernet
from sqlalchemy.orm import Mapped, Session, declarative_base, mapped_column

from benchmarks.command import rotate
from benchmarks.creds import BASE_ROWS, fill, make_base, wrong_rows
from benchmarks.goals import Goal, measure
from keyring_core import Keyring
from tests.databases import KINDS, Database, open_database
from tests.keys import key_text

ROWS, SECRET = 1_000_000, 40
TURNS = 3
FASTER_THAN_ORM = {"sqlite": 13, "postgresql": 9, "mariadb": 18}
SECOND_RUN = {"sqlite": 1.3, "postgresql": 1.6, "mariadb": 1.5}
ALONE_A_SECOND = {"sqlite": 40_000, "postgresql": 25_000}
OLD, NEW = Fernet(key_text("old")), Fernet(key_text("new"))
Base = declarative_base()


class Creds(Base):  # type: ignore[misc, valid-type]
    """The table, as an application maps it."""

    __tablename__ = "creds"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str]
    note: Mapped[str]


def orm_loop(database: Database) -> None:
    """What applications write: load, rotate, commit, 1,000 at a time."""
    multi = MultiFernet([NEW, OLD])
    last = 0
    with Session(database.engine) as session:
        while found := session.scalars(sa.select(Creds).where(Creds.id > last).order_by(Creds.id).limit(1000)).all():
            for row in found:
                row.token = multi.rotate(row.token).decode()
            last = found[-1].id
            session.commit()
            session.expunge_all()


def row_by_row(database: Database) -> None:
    """One UPDATE a row, committed 1,000 at a time."""
    multi = MultiFernet([NEW, OLD])
    update = sa.text("UPDATE creds SET token = :new WHERE id = :id")
    page = sa.text("SELECT id, token FROM creds WHERE id > :last ORDER BY id LIMIT 1000")
    last = 0
    with database.engine.connect() as connection:
        while found := connection.execute(page, {"last": last}).all():
            for number, token in found:
                connection.execute(update, {"id": number, "new": multi.rotate(token).decode()})
            last = found[-1][0]
            connection.commit()


def floor(database: Database) -> None:
    """The server's minimum: it rewrites the same bytes, batch by batch, over one connection."""
    rewrite = sa.text("UPDATE creds SET token = token || '' WHERE id > :last AND id <= :upto")
    with database.engine.connect() as connection:
        rows = connection.scalar(sa.text("SELECT max(id) FROM creds"))
        for last in range(0, rows, 5000):
            connection.execute(rewrite, {"last": last, "upto": last + 5000})
            connection.commit()


def look(database: Database) -> None:
    """The minimum of a second run: a bare SELECT of the column through the driver, and one MAC a token."""
    keyring = Keyring(key_text("new"), previous=[key_text("old")])
    connection = database.engine.raw_connection()
    try:
        cursor = connection.cursor()
        cursor.execute("SELECT token FROM creds")
        while found := cursor.fetchmany(5000):
            keyring.identify_many([token for (token,) in found])
    finally:
        connection.close()


def ours(database: Database) -> None:
    """The command, start of the interpreter included; with its default number of workers."""
    rotate(database, "--full-speed")


def alone(database: Database) -> None:
    """The command at its default pace, while nobody else writes."""
    rotate(database)


def timed(database: Database, rows: int, work: Callable[[Database], None]) -> float:
    """Seconds for *work* on a fresh table, which must then be under the new key entirely."""
    fill(database, rows)
    seconds = _seconds(work, database)
    if work is not floor and (wrong := wrong_rows(database, SECRET)):
        sys.exit(f"{work.__name__} left {wrong} rows wrong")
    return seconds


def _seconds(work: Callable[[Database], None], database: Database) -> float:
    started = time.perf_counter()
    work(database)
    return time.perf_counter() - started


def compare(rows: int = ROWS, kinds: Sequence[str] = KINDS) -> list[Goal]:
    """Prints rows a second, by database and by way to do it, and what a second run costs; returns the goals."""
    heads = (
        "row by row",
        "ORM loop",
        "floor",
        "run",
        "run / ORM",
        "x the floor",
        "second run",
        "second / look",
        "default",
    )
    print(f"{rows:,} rows, 40-byte secrets, rows a second; run and floor: the median of {TURNS} turns\n")
    print(f"{'database':12}" + "".join(f"{head:>14}" for head in heads), flush=True)
    goals = []
    for kind in kinds:
        with tempfile.TemporaryDirectory() as folder, open_database(kind, Path(folder)) as database:
            make_base(database, rows, SECRET)
            few = min(rows, BASE_ROWS)
            by_row, orm = timed(database, few, row_by_row) / few, timed(database, rows, orm_loop) / rows
            # MariaDB does not write a value that is the same.
            works = (ours,) if kind == "mariadb" else (ours, floor)
            turns = [[timed(database, rows, work) for work in works] for _ in range(TURNS)]
            run, *least = (median(each) / rows for each in zip(*turns, strict=True))
            against = [median(run / least for run, least in turns)] if least else []
            default = rows / timed(database, rows, alone)
            fill(database, rows)
            ours(database)
            looks = [(_seconds(ours, database), _seconds(look, database)) for _ in range(TURNS)]
            again, bare = (median(each) for each in zip(*looks, strict=True))
        rates = [f"{1 / taken:,.0f}" for taken in (by_row, orm, *least)] + [""] * (not least)
        ratios = [f"{orm / run:.1f}", *(f"{ratio:.2f}" for ratio in against)] + [""] * (not least)
        cells = (*rates, f"{1 / run:,.0f}", *ratios, f"{rows / again:,.0f}", f"{again / bare:.2f}", f"{default:,.0f}")
        print(f"{kind:12}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
        size = f"{rows:,} rows, {kind}"
        goals.append(Goal(f"run, {size}, against an ORM loop", orm / run, FASTER_THAN_ORM[kind], at_least=True))
        if kind == "postgresql":
            goals.append(Goal(f"run, {size}, against the floor", against[0], 1.6))
        goals.append(Goal(f"a second run, {size}, against a bare SELECT and the MACs", again / bare, SECOND_RUN[kind]))
        if kind in ALONE_A_SECOND:
            least_rows = ALONE_A_SECOND[kind]
            goals.append(Goal(f"default pace, nobody else, {size}", default, least_rows, at_least=True, unit="rows/s"))
    print()
    return goals


def main() -> None:
    measure(__doc__, compare, ROWS, KINDS)


if __name__ == "__main__":
    main()
