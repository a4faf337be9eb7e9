"""One run of chaos: services and rotators on one table, and what is wrong with the table at the end."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.chaos.oracle import PREVIOUS, PRIMARY, Cells, allowed_states, faults, is_broken, log_line
from tests.chaos.rotators import ENVIRON, ROOT, Rotators
from tests.chaos.writer import CANARY, WRITERS
from tests.databases import Database
from tests.keys import key_text

ROWS = 1500
KEY_KINDS = {"sqlite": "INTEGER", "postgresql": "BIGINT", "mariadb": "BIGINT"}


def storm(
    database: Database, seed: str, folder: Path, seconds: float, disturb: Callable[[], None] | None = None
) -> list[str]:
    """Every fault of one run; an empty list is good. *disturb* is called once, in the middle."""
    dice = random.Random(seed)
    _make_table(database, dice, folder)
    rotators = Rotators(database, dice, folder)
    services = [_start_service(database, number, seed, folder, seconds) for number in range(WRITERS)]
    timer = threading.Timer(seconds / 2, disturb or (lambda: None))
    timer.start()
    rotators.storm(seconds)
    timer.join()
    found = [f"a service ended with {code}" for code in [service.wait(60) for service in services] if code]
    found += rotators.faults + _last_run(rotators, folder)
    database.engine.dispose()  # a restart has ended its connection
    cells = {row: Cells(token, note) for row, token, note in database.rows("SELECT id, token, note FROM creds")}
    found += faults(cells, allowed_states([folder / "seed.log", *_logs(folder)]))
    return found + _leaks(rotators.output.read_text())


def written(folder: Path) -> int:
    """How many writes the services made."""
    return sum(len(log.read_text().splitlines()) for log in _logs(folder))


def _make_table(database: Database, dice: random.Random, folder: Path) -> None:
    kind = KEY_KINDS[database.kind]
    database.execute(f"CREATE TABLE creds (id {kind} PRIMARY KEY, token VARCHAR(400), note VARCHAR(50))")
    if database.kind == "sqlite" and dice.random() < 0.5:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")
    rows = {row: Cells(_token(dice, row), f"note {row}") for row in range(1, ROWS + 1)}
    database.insert("creds", [{"id": row, **cells._asdict()} for row, cells in rows.items()])
    (folder / "seed.log").write_text("".join(log_line({row: cells}) for row, cells in rows.items()))


def _token(dice: random.Random, row: int) -> str:
    key = Fernet(key_text(dice.choice([PRIMARY, *PREVIOUS, *PREVIOUS])))
    token = key.encrypt_at_time(f"{CANARY} {row}".encode(), 1_600_000_000 + row).decode()
    if row % 50:
        return token
    unknown = Fernet(key_text("unknown")).encrypt(CANARY.encode()).decode()
    return dice.choice([unknown, token[:60], token + token, f"b'{token}'"])


def _start_service(database: Database, number: int, seed: str, folder: Path, seconds: float) -> subprocess.Popen[bytes]:
    url, table = sa.make_url(database.url), "creds"
    if database.kind == "mariadb":
        table = f"{url.database}.creds"  # connections to the database itself belong to rotators and may be cut
        url = url.set(database="information_schema")
    arguments = [url.render_as_string(hide_password=False), table, str(number), seed, str(folder), str(seconds)]
    return subprocess.Popen([sys.executable, "-m", "tests.chaos.writer", *arguments], cwd=ROOT, env=ENVIRON)


def _last_run(rotators: Rotators, folder: Path) -> list[str]:
    """A run without disturbance: afterwards only the broken rows may be left."""
    before = rotators.output.stat().st_size
    code = rotators.start("--json", f"--problems={folder / 'problems'}").wait(60)
    with rotators.output.open() as output:
        output.seek(before)
        document = next((json.loads(line) for line in output if line.startswith('{"complete"')), None)
    if code != 1 or document is None:
        return [f"the last run ended with {code}; broken rows make it 1"]
    [target] = document["targets"]
    if target["stopped"] or target["unsettled"] or any(target["under"].get(key["id"]) for key in document["keys"][1:]):
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
