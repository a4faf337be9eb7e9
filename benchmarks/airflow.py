"""`python -m benchmarks.airflow`: a rotation of Airflow's connections, beside `airflow rotate-fernet-key`, in one run.

Airflow and its database's tables are its own: the environment of `tests/applications` is made if it is not there.
Its command takes time in the square of the connections, so it gets a tenth of them.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from cryptography.fernet import Fernet

from benchmarks.command import command
from benchmarks.goals import Goal, show
from tests.applications.environments import APPLICATIONS, environment, run_driver
from tests.databases import Database, open_database
from tests.keys import key_text

CONNECTIONS, LEAST, AIM = 20_000, 2_000, 2.0


def main() -> None:
    app = APPLICATIONS["airflow"]
    print(f"{'connections':>12}  {'what':44}{'seconds':>9}")
    with tempfile.TemporaryDirectory() as folder, open_database("postgresql", Path(folder)) as database:
        # Airflow makes its tables when it writes its first secrets.
        run_driver(app, "write", database.url, {"first": "secret"}, app.secret_of("old"))
        # Twice: the first run meets a server that has read none of the table.
        seconds = min(_ours(database, CONNECTIONS, Path(folder)) for _ in range(2))
        _show(CONNECTIONS, "keyring-rotate run --full-speed, its start too", seconds)
        _show(LEAST, "airflow rotate-fernet-key", _airflow(database, LEAST))
    show([Goal(f"a rotation of {CONNECTIONS:,} connections of Airflow", seconds, AIM, unit="s")])


def _show(number: int, what: str, seconds: float) -> None:
    print(f"{number:>12,}  {what:44}{seconds:>9.2f}", flush=True)


def _fill(database: Database, number: int) -> None:
    """As many connections under the old key, each with a password and an extra."""
    fernet = Fernet(key_text("old"))
    database.execute("DELETE FROM connection")
    rows = [
        {
            "conn_id": f"connection_{row}",
            "conn_type": "http",
            "is_encrypted": True,
            "is_extra_encrypted": True,
            "password": fernet.encrypt(b"password %d" % row).decode(),
            "extra": fernet.encrypt(json.dumps({"token": "sk-live-0123456789", "row": row}).encode()).decode(),
        }
        for row in range(number)
    ]
    database.insert("connection", rows)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE connection")


def _ours(database: Database, number: int, folder: Path) -> float:
    _fill(database, number)
    (folder / "rotation.toml").write_text('[[app]]\nname = "airflow"\nurl = "$DATABASE_URL"\n')
    keys = {"AIRFLOW_KEY": key_text("new"), "AIRFLOW_PREVIOUS_KEYS": key_text("old"), "DATABASE_URL": database.url}
    ran = command("run", "--json", "--full-speed", "--config", str(folder / "rotation.toml"), **keys)
    assert json.loads(ran.out)["complete"], ran.out
    return ran.seconds


def _airflow(database: Database, number: int) -> float:
    """Airflow's own command, with both keys set, without the start of Airflow."""
    _fill(database, number)
    folder = environment(APPLICATIONS["airflow"])
    both = ",".join(map(key_text, ("new", "old")))
    url = database.engine.url.set(drivername="postgresql+psycopg2", query={}).render_as_string(hide_password=False)
    with tempfile.TemporaryDirectory() as home:
        names = {"HOME": home, "AIRFLOW_HOME": home, "PATH": os.environ["PATH"], "AIRFLOW__CORE__FERNET_KEY": both}
        names |= {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        seconds = []
        # Its start alone costs seconds, and is taken off.
        for command in ("version", "rotate-fernet-key"):
            began = time.perf_counter()
            subprocess.run([folder / "bin/airflow", command], env=names, check=True, capture_output=True)
            seconds.append(time.perf_counter() - began)
    return seconds[1] - seconds[0]


if __name__ == "__main__":
    main()
