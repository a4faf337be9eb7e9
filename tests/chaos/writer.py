"""A service: a process that updates, deletes, inserts and re-keys its rows, and logs the acknowledged commits."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy.exc import DBAPIError

from tests.chaos.oracle import CANARY, PREVIOUS, PRIMARY, Cells, State, allowed_states, fits, log_line, same_content
from tests.chaos.shapes import SHAPES, Shape, hash_of
from tests.keys import key_text

WRITERS = 3
HOT = 20
OLD_KEY_SHARE = 0.6
"""For this part of its writes a service encrypts with an older key, as in a rolling deployment."""


class Service:
    """Writes the rows whose key modulo WRITERS is its number; only rotators write to them too."""

    def __init__(  # noqa: PLR0913, PLR0917 - what a service is told
        self, engine: sa.Engine, table: str, number: int, seed: str, folder: Path, shape: Shape
    ) -> None:
        kind = "mariadb" if engine.dialect.name == "mysql" else engine.dialect.name
        self._shape, self._place, self._selected = shape, shape.place(kind), shape.selected(kind)
        self._dice = random.Random(f"{seed}-{number}")
        self._engine, self._table = engine, table
        # A service whose code is still the one from before the column was encrypted.
        self._encrypts = not shape.adopts or number > 0
        self._log = (folder / f"writer-{number}.log").open("w")
        seeded = allowed_states([folder / "seed.log"])
        self._rows = {row: states[0] for row, states in seeded.items() if row % WRITERS == number and states[0]}
        self._next = max(seeded) + WRITERS + number - max(seeded) % WRITERS
        self._writes = 0
        self.logged = 0
        """How many writes are in its log."""
        self._acts: list[Callable[[int], tuple[dict[int, State], str]]] = [
            self._update, self._update, self._update, self._insert, self._delete, self._note, self._rekey,
        ]  # fmt: skip

    def act(self, *, deployed: bool) -> None:
        """One write in one transaction; *deployed*: with the new primary key."""
        self._label = PRIMARY if deployed else self._dice.choice(PREVIOUS)
        self._key = Fernet(key_text(self._label))
        rows = list(self._rows)
        # A row that was just written is written again soon: while a rotator has read it and not yet written it.
        row = self._dice.choice(rows[-HOT:] if self._dice.random() < 0.5 else rows)
        try:
            connection = self._engine.connect()
        except DBAPIError:
            time.sleep(0.05)  # the server restarts
            return
        sure, states = False, {}
        with connection:
            try:
                found = self._read(connection, row)
                if self._dice.random() < 0.1:
                    states = self._write_back(connection, row, found)
                else:
                    states, statement = self._dice.choice(self._acts)(row)
                    self._execute(connection, statement, states, row)
            except DBAPIError:
                connection.invalidate()  # not committed: nothing happened
                return
            try:
                connection.commit()
                sure = True
            except DBAPIError:
                connection.invalidate()
        self._log.write(log_line(states, sure=sure))
        self._log.flush()
        self.logged += 1
        for changed, state in states.items():
            self._rows.pop(changed, None)
            # If it is unknown whether the write was committed, the service does not use the row again.
            if sure and state:
                self._rows[changed] = state

    def _execute(self, connection: sa.Connection, statement: str, states: dict[int, State], row: int) -> None:
        (new, cells), *_ = reversed(states.items())
        values = {"row": row, "new": new} | (cells._asdict() if cells else {})
        statement = statement.replace("creds", self._table).replace(":token", self._place)
        done = connection.execute(sa.text(statement), values).rowcount
        if done != 1:
            raise AssertionError(f"a service's write changed {done} rows instead of row {row}")

    def _update(self, row: int) -> tuple[dict[int, State], str]:
        beside = ", key_hash = :key_hash" if self._shape.companion else ""
        cells = self._cells(self._cell(), self._note_of(row))
        return {row: cells}, f"UPDATE creds SET token = :token{beside} WHERE id = :row"

    def _insert(self, row: int) -> tuple[dict[int, State], str]:
        cells = self._cells(self._cell() if self._dice.random() < 0.9 else self._broken(), "inserted")
        names = ", ".join(f":{name}" for name in self._shape.names)
        return {self._fresh(): cells}, f"INSERT INTO creds VALUES (:new, {names})"

    def _delete(self, row: int) -> tuple[dict[int, State], str]:
        return {row: None}, "DELETE FROM creds WHERE id = :row"

    def _note(self, row: int) -> tuple[dict[int, State], str]:
        cells = self._known(row)._replace(note=f"note {self._writes}")
        return {row: cells}, "UPDATE creds SET note = :note WHERE id = :row"

    def _rekey(self, row: int) -> tuple[dict[int, State], str]:
        return {row: None, self._fresh(): self._known(row)}, "UPDATE creds SET id = :new WHERE id = :row"

    def _read(self, connection: sa.Connection, row: int) -> Cells:
        """What is stored. Its plaintext must be the last one written, whatever rotators did."""
        query = sa.text(f"SELECT {self._selected} FROM {self._table} WHERE id = :row")
        stored = connection.execute(query, {"row": row}).first()
        connection.commit()
        found = stored and Cells(*stored)
        if found is None or not same_content(found.token, self._known(row).token):
            raise AssertionError(f"row {row} has another secret than the one written last")
        if not fits(found):
            raise AssertionError(f"row {row} has a companion that does not fit its token")
        return found

    def _write_back(self, connection: sa.Connection, row: int, found: Cells) -> dict[int, State]:
        """Writes the columns back as they were read, as an object mapper does that saves all of them."""
        time.sleep(self._dice.random() * 0.01)
        cells = self._known(row)._replace(note=f"saved {self._writes}")
        sets = ", ".join(f"{name} = {self._place if name == 'token' else f':{name}'}" for name in self._shape.names)
        saved = found._replace(note=cells.note)._asdict()
        connection.execute(sa.text(f"UPDATE {self._table} SET {sets} WHERE id = :row"), {"row": row, **saved})
        return {row: cells}

    def _cells(self, cell: str, note: str) -> Cells:
        return Cells(cell, note, hash_of(self._label) if self._shape.companion else None)

    def _cell(self) -> str:
        return self._shape.cell(self._secret)

    def _broken(self) -> str:
        if self._shape.is_json:
            # One that opens, and one that does not: neither may be changed.
            tokens = iter([self._secret(), unknown_token()])
            return self._shape.cell(lambda: next(tokens))
        return self._secret()[: self._dice.randrange(20, 90)]

    def _secret(self) -> str:
        self._writes += 1
        text = f"{CANARY} {self._dice.random()}"
        return self._key.encrypt(text.encode()).decode() if self._encrypts else text

    def _fresh(self) -> int:
        self._next += WRITERS
        return self._next

    def _known(self, row: int) -> Cells:
        cells = self._rows[row]
        assert cells
        return cells

    def _note_of(self, row: int) -> str:
        return self._known(row).note


def unknown_token() -> str:
    """A token that no key of the storm opens."""
    return Fernet(key_text("unknown")).encrypt(CANARY.encode()).decode()


def main(  # noqa: PLR0913, PLR0917 - what the storm tells a service
    url: str, table: str, number: str, seed: str, folder: str, writes: str, shape: str
) -> None:
    """Writes so many times, at random intervals."""
    service = Service(_engine(url), table, int(number), seed, Path(folder), SHAPES[shape])
    dice = random.Random(seed)
    while (age := service.logged / int(writes)) < 1:
        service.act(deployed=age > OLD_KEY_SHARE)
        time.sleep(dice.random() * 0.004)


def _engine(url: str) -> sa.Engine:
    if not url.startswith("sqlite"):
        return sa.create_engine(url)
    engine = sa.create_engine(url, connect_args={"timeout": 20})

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # Only processes are killed here, not the machine, so faster writes are safe.
        connection.execute("PRAGMA synchronous = OFF")

    return engine


if __name__ == "__main__":
    main(*sys.argv[1:])
