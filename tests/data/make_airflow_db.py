"""Make airflow.db, a test database that Apache Airflow 3.3.2 migrates and fills through its own models."""

import base64
import datetime
import hashlib
import json
import os
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

CONNECTIONS, VARIABLES, TRIGGERS = 300, 40, 10
CONN_TYPES = ("postgres", "mysql", "http", "aws", "ssh", "google_cloud_platform")
WORDS = ("plain", "Grüße", "naïveté", "пароль", "合言葉", "ключ-🔑", "two words", "sla/sh%20&=?#'\"\\")
EPOCH = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)


def airflow_test_key() -> bytes:
    """Derive the worthless Fernet key of the test database from a public label."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"keyring-core test key: airflow").digest())


def invented(label: str, length: int) -> str:
    """Return a value that depends on its arguments alone: a word followed by length hex digits."""
    digest = hashlib.shake_256(label.encode()).hexdigest((length + 1) // 2)[:length]
    return f"{WORDS[length % len(WORDS)]}-{digest}"


def connections() -> list[dict]:
    """Return the connections' values: 6 have no password, 30 have no extra, 3 of them have neither."""
    rows = []
    for i in range(CONNECTIONS):
        extra = {
            "region": f"zone-{i % 7}",
            "token": invented(f"extra {i}", i * 11 % 160),
            "options": {"retries": i % 5, "verify": i % 2 == 0, "tags": list(WORDS[: i % 4])},
        }
        rows.append(
            {
                "conn_id": f"service_{i:03}",
                "conn_type": CONN_TYPES[i % len(CONN_TYPES)],
                "host": f"host{i}.example.com",
                "login": f"user{i}",
                "port": 1024 + i if i % 3 else None,
                "password": None if i % 55 == 3 else invented(f"password {i}", 1 + i * 7 % 90),
                "extra": None if i % 10 == 3 else json.dumps(extra, ensure_ascii=i % 2 == 0),
            }
        )
    return rows


def variables() -> list[dict]:
    """Return the variables' values: every other one is JSON."""
    rows = []
    for i in range(VARIABLES):
        value = invented(f"variable {i}", i * 13 % 400)
        if i % 2:
            value = json.dumps({"value": value, "number": i, "nested": [None, True, i / 4]}, ensure_ascii=False)
        rows.append({"key": f"var_{i:02}", "val": value, "description": f"invented value {i}"})
    return rows


def triggers() -> list[dict]:
    """Return the triggers' values, of two trigger classes of Airflow's standard provider."""
    rows = []
    for i in range(TRIGGERS):
        created = EPOCH + datetime.timedelta(minutes=i)
        if i % 2:
            classpath = "airflow.providers.standard.triggers.file.FileTrigger"
            kwargs = {"filepath": f"/data/{WORDS[i % 6]}-{i}.csv", "recursive": False, "poke_interval": 5.0 + i}
        else:
            classpath = "airflow.providers.standard.triggers.temporal.DateTimeTrigger"
            kwargs = {"moment": created + datetime.timedelta(days=1 + i), "end_from_trigger": False}
        rows.append({"classpath": classpath, "kwargs": kwargs, "created_date": created})
    return rows


def make(path: Path) -> None:
    """Let Airflow migrate a new database at path and write every row."""
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AIRFLOW__CORE__FERNET_KEY": airflow_test_key().decode(),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{path.resolve()}",
        }
        # Airflow reads its settings when it is first imported.
        from airflow import settings
        from airflow.models import Connection, Trigger, Variable
        from airflow.utils.db import upgradedb
        from airflow.utils.session import create_session

        upgradedb()
        with create_session() as session:
            session.query(Connection).delete()
            for model, rows in (Connection, connections()), (Variable, variables()), (Trigger, triggers()):
                for row in rows:
                    session.add(model(**row))
                    session.flush()
        settings.dispose_orm()
    with closing(sqlite3.connect(path)) as database:
        # Airflow turned on WAL, and pages of 4 kB waste much on its many empty tables.
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA page_size = 1024")
        database.execute("VACUUM")


if __name__ == "__main__":
    make(Path(sys.argv[1]))
