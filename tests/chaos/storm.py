"""One run of chaos: services and rotators on one table, and what is wrong with the table at the end."""

from __future__ import annotations

import json
import random
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.chaos.oracle import CANARY, PREVIOUS, PRIMARY, Cells, allowed_states, faults, is_broken, log_line
from tests.chaos.rotators import ENVIRON, Rotators
from tests.chaos.shapes import SHAPES, Shape, hash_of
from tests.chaos.writer import WRITERS, unknown_token
from tests.databases import Database
from tests.keys import key_text
from tests.processes import ROOT, end_of, until
from tests.warm.client import Program

ROWS = 1500
KEY_KINDS = {"sqlite": "INTEGER", "postgresql": "BIGINT", "mariadb": "BIGINT"}


def storm(  # noqa: PLR0913 - what a storm is made of
    database: Database,
    seed: str,
    folder: Path,
    writes: int,
    *,
    disturb: Callable[[], None] | None = None,
    shape: str = "plain",
) -> list[str]:
    """Every fault of one run; an empty list is good. *disturb* is called once, in the middle.

    It lasts until each service has made so many *writes*.
    """
    dice = random.Random(seed)
    form = SHAPES[shape]
    _make_table(database, dice, folder, form)
    rotators = Rotators(database, dice, folder, form)
    with (folder / "services").open("w") as words:
        services = [_start_service(database, number, seed, folder, writes, shape, words) for number in range(WRITERS)]
    middle = threading.Thread(target=_disturb, args=(folder, WRITERS * writes // 2, disturb))
    middle.start()
    rotators.storm(lambda: any(service.poll() is None for service in services))
    middle.join()
    codes = [end_of(service, "a service", folder / "services") for service in services]
    found = [f"a service ended with {code}: {(folder / 'services').read_text()[-2000:]}" for code in codes if code]
    found += rotators.faults + _last_run(rotators, folder, form)
    database.engine.dispose()  # a restart has ended its connection
    read = f"SELECT id, {form.selected(database.kind)} FROM creds"
    cells = {row: Cells(*columns) for row, *columns in database.rows(read)}
    found += faults(cells, allowed_states([folder / "seed.log", *_logs(folder)]))
    return found + _leaks(rotators.output.read_text())


def _disturb(folder: Path, writes: int, disturb: Callable[[], None] | None) -> None:
    if disturb:
        until(lambda: written(folder) >= writes, f"the first {writes} writes of the services")
        disturb()


def written(folder: Path) -> int:
    """How many writes the services made."""
    return sum(len(log.read_text().splitlines()) for log in _logs(folder))


def _make_table(database: Database, dice: random.Random, folder: Path, shape: Shape) -> None:
    kind = KEY_KINDS[database.kind]
    database.execute(f"CREATE TABLE creds (id {kind} PRIMARY KEY, {shape.columns(database.kind)})")
    if database.kind == "sqlite" and dice.random() < 0.5:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    rows = {row: _cells(dice, row, shape) for row in range(1, ROWS + 1)}
    names = ", ".join(f":{name}" for name in shape.names[1:])
    insert = sa.text(f"INSERT INTO creds VALUES (:id, {shape.place(database.kind)}, {names})")
    with database.engine.begin() as connection:
        connection.execute(insert, [{"id": row, **cells._asdict()} for row, cells in rows.items()])
    (folder / "seed.log").write_text("".join(log_line({row: cells}) for row, cells in rows.items()))


def _cells(dice: random.Random, row: int, shape: Shape) -> Cells:
    labels: list[str] = []

    def token() -> str:
        labels.append(dice.choice([PRIMARY, *PREVIOUS, *PREVIOUS]))
        key = Fernet(key_text(labels[-1]))
        return key.encrypt_at_time(f"{CANARY} {row}".encode(), 1_600_000_000 + row).decode()

    cell = f"{CANARY} {row}" if shape.adopts and dice.random() < 0.5 else shape.cell(token)
    if row % 50 == 0:
        cell = shape.cell(unknown_token) if shape.is_json else _broken(dice, token())
    return Cells(cell, f"note {row}", hash_of(labels[0]) if shape.companion else None)


def _broken(dice: random.Random, token: str) -> str:
    return dice.choice([unknown_token(), token[:60], token + token, f"b'{token}'"])


def _start_service(  # noqa: PLR0913, PLR0917 - what a service is told
    database: Database, number: int, seed: str, folder: Path, writes: int, shape: str, words: IO[str]
) -> Program:
    url, table = sa.make_url(database.url), "creds"
    if database.kind == "mariadb":
        table = f"{url.database}.creds"  # connections to the database itself belong to rotators and may be cut
        url = url.set(database="information_schema")
    arguments = [url.render_as_string(hide_password=False), table, str(number), seed, str(folder), str(writes), shape]
    command = [sys.executable, "-m", "tests.chaos.writer", *arguments]
    return Program(command, cwd=ROOT, env=ENVIRON, stdout=words, stderr=words)


def _last_run(rotators: Rotators, folder: Path, shape: Shape) -> list[str]:
    """A run without disturbance: afterwards only the broken rows may be left."""
    before = rotators.output.stat().st_size
    last = rotators.start("--json", f"--problems={folder / 'problems'}")
    code = end_of(last, "the last run", rotators.output)
    with rotators.output.open() as output:
        output.seek(before)
        document = next((json.loads(line) for line in output if line.startswith('{"complete"')), None)
    if code != 1 or document is None:
        return [f"the last run ended with {code}; broken rows make it 1"]
    [target] = document["targets"]
    # A cell in JSON with a token that does not open stays, with all its tokens; the rows themselves show which.
    older = [] if shape.is_json else [key["id"] for key in document["keys"][1:] if target["under"].get(key["id"])]
    if target["stopped"] or target["unsettled"] or older:
        return [f"the last run left something: {target['stopped']}"]
    states = allowed_states([folder / "seed.log", *_logs(folder)]).values()
    broken = sum(any(state and is_broken(state.token) for state in allowed) for allowed in states)
    listed = len((folder / "problems").read_text().splitlines())
    if listed != target["unreadable"] or listed > broken:
        return [f"{broken} rows are broken, {target['unreadable']} are counted and {listed} listed"]
    return []


def _logs(folder: Path) -> list[Path]:
    return sorted(folder.glob("writer-*.log"))


def _leaks(output: str) -> list[str]:
    secrets = {"a plaintext": CANARY, "a token": "gAAAAA", "a traceback": "Traceback"}
    secrets |= {f"the key {label}": key_text(label)[:8] for label in (PRIMARY, *PREVIOUS)}
    return [f"{name} was printed" for name, text in secrets.items() if text in output]
