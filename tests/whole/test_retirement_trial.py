"""A key that only a queue still needs: a FastAPI service and a Celery worker, announced, and the way to its retirement.

The job's token is in no database that a target names. What sees it is the worker that reads it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery
from celery.exceptions import TimeoutError as NoResultError
from redis import Redis

from keyring_core import Key
from tests.databases import Database, empty_redis, open_database, redis_url
from tests.examples.typed import free_port
from tests.processes import ROOT, run, until

# One database of the server for the broker.
pytestmark = [pytest.mark.database, pytest.mark.long, pytest.mark.xdist_group("redis-trial"), pytest.mark.timeout(600)]

BROKER = redis_url(8)
CREDENTIAL = "sk-live-Zq3vK9tLxW7eRb-4242"
JOBS = 3


@dataclass
class World:
    """The two services, the admin's command line, and jobs that wait in queues that nobody takes from yet."""

    environ: Mapping[str, str]
    folder: Path
    web: httpx.Client
    celery: Celery
    ledger: Database

    def admin(self, *words: str) -> tuple[int, dict[str, Any]]:
        """The exit code and the document of a command."""
        done = run([sys.executable, f"{ROOT}/scripts/rotate.py", *words, "--json"], env=self.environ)
        assert "gAAAA" not in done.stdout + done.stderr
        assert CREDENTIAL not in done.stdout + done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else {"error": done.stderr}

    def states(self) -> list[dict[str, str]]:
        """The states of the keys in the service and in the worker."""
        both = self.web.get("/health").json(), self.task("health")
        return [{key["id"]: key["state"] for key in status["keys"]} for status in both]

    def task(self, name: str, *args: str, queue: str = "now") -> Any:
        """The result of a job, which the worker does now."""
        return self.celery.send_task(f"tests.whole.trial_services.jobs.{name}", args=args, queue=queue).get(timeout=60)

    def all_have(self, key_id: str, state: str) -> None:
        """Waits until both, which never restart, have that key in that state."""
        until(lambda: all(each.get(key_id) == state for each in self.states()), f"{key_id} {state} in both")

    def announced(self, key_id: str, column: str, number: int) -> None:
        """Waits until the worker has announced so many tokens under that key, opened or refused."""
        query = f"SELECT sum({column}) FROM keyring_ledger_reads WHERE key_id = '{key_id}' AND instance = 'worker'"

        def known() -> int:
            with self.ledger.engine.connect() as connection:
                return int(connection.exec_driver_sql(query).scalar() or 0)

        until(lambda: known() >= number, f"{number} {column}")


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """Both services run, with their keys in files that they look at all the time."""
    keys = tmp_path / "keys"
    keys.mkdir()
    for name in ("primary", "previous", "staged", "suspended"):
        (keys / name).touch(mode=0o600)
    (keys / "primary").write_text(f"{Key.generate().reveal()}\n")
    port = free_port()
    with open_database(request.param, tmp_path) as database, empty_redis(8):
        environ = {
            **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG", "PYTHONPATH"}},
            "ENCRYPTION_KEY_FILE": f"{keys}/primary",
            "ENCRYPTION_PREVIOUS_KEYS_FILE": f"{keys}/previous",
            "ENCRYPTION_STAGED_KEY_FILE": f"{keys}/staged",
            "ENCRYPTION_SUSPENDED_KEYS_FILE": f"{keys}/suspended",
            "ENCRYPTION_RELOAD_SECONDS": "0.1",
            "DATABASE_URL": database.url,
            "ROTATION_LEDGER_URL": database.url,
            "ROTATION_CONFIG": f"{tmp_path}/rotation.toml",
            "ROTATION_SERVICE": "shop",
            "BROKER": BROKER,
        }
        (tmp_path / "rotation.toml").write_text(
            '[[target]]\nurl = "$DATABASE_URL"\ntable = "credentials"\ncolumns = ["token"]\n'
        )
        celery = Celery("jobs", broker=BROKER, backend=BROKER)
        with (
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as web,
            started(
                "web", environ, tmp_path, "uvicorn", "tests.whole.trial_services.service:app", "--port", str(port)
            ) as service,
            started(
                "worker",
                environ,
                tmp_path,
                *("celery", "-A", "tests.whole.trial_services.jobs", "worker"),
                *("--concurrency", "1", "-Q", "now", "--without-gossip", "--without-mingle"),
            ) as worker,
        ):
            world = World(environ, tmp_path, web, celery, database)
            until(lambda: is_up(world.web.get, "/health"), "the service", service, tmp_path / "web.log")
            until(lambda: is_up(world.task, "health"), "the worker", worker, tmp_path / "worker.log")
            yield world
        celery.close()


def is_up(ask: Callable[[str], object], what: str) -> bool:
    """True if something answers."""
    try:
        ask(what)
    except (httpx.HTTPError, NoResultError):
        return False
    return True


@contextmanager
def started(name: str, environ: Mapping[str, str], folder: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program of Python's, ended at the end; neither its log shows a credential."""
    log = folder / f"{name}.log"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, "-m", *words], env=environ, cwd=ROOT, stdout=file, stderr=file)
    try:
        yield process
        assert process.poll() is None, f"it ran to the end:\n{log.read_text()}"
    finally:
        process.terminate()
        process.wait()
    assert CREDENTIAL not in log.read_text()


def test_a_key_goes_when_nothing_stored_needs_it_and_nothing_reads_with_it(world: World) -> None:
    """The run is complete, and the key stays while the worker reads with it; a trial refuses and is taken back.

    No service is restarted.
    """
    number = world.web.post("/credentials", json={"text": CREDENTIAL}).json()
    tokens = [world.web.post("/seal", json={"text": CREDENTIAL}).json() for _ in range(JOBS)]
    for place, token in enumerate(tokens):
        world.celery.send_task("tests.whole.trial_services.jobs.deliver", args=[token], queue=f"later{place}")
    _, listed = world.admin("keys", "list")
    [old] = [key["id"] for key in listed["keys"]]

    assert world.admin("keys", "stage")[0] == 0
    _, listed = world.admin("keys", "list")
    [new] = [key["id"] for key in listed["keys"] if key["state"] == "staged"]
    world.all_have(new, "staged")
    until(lambda: world.admin("keys", "promote")[0] == 0, "the promotion, once both have announced the key")
    world.all_have(new, "primary")
    code, report = world.admin("run")
    assert (code, report["complete"]) == (0, True)

    # A job of before the promotion comes out of its queue.
    world.celery.control.add_consumer("later0", reply=True)
    world.announced(old, "opened", 1)
    code, refused = world.admin("keys", "retire", old, "--no-archive")
    reasons = " ".join(each["reason"] for each in refused["refused"])
    assert code == 1
    assert "shop on worker" in reasons
    assert "queue" in json.dumps(refused)

    # The trial: both refuse, and say so.
    assert world.admin("keys", "suspend", old)[0] == 0
    world.all_have(old, "suspended")
    assert world.web.post("/open", json={"text": tokens[2]}).status_code == 423
    world.celery.control.add_consumer("later1", reply=True)
    world.announced(old, "refused", 1)
    with pytest.raises(Exception, match=f"keys resume {old}"):
        world.task("deliver", tokens[1])
    assert world.web.get(f"/credentials/{number}").json() == CREDENTIAL
    code, refused = world.admin("keys", "retire", old, "--no-archive")
    assert code == 1
    _, checked = world.admin("check")
    assert old in json.dumps([each for each in checked["findings"] if "worker" in json.dumps(each)])

    # And it is taken back.
    assert world.admin("keys", "resume", old)[0] == 0
    world.all_have(old, "previous")
    assert world.web.post("/open", json={"text": tokens[2]}).json() == CREDENTIAL
    assert world.task("deliver", tokens[1]) == CREDENTIAL[-4:]

    # The queue is drained, and a run is complete after that.
    world.celery.control.add_consumer("later2", reply=True)
    until(lambda: Redis.from_url(BROKER).llen("later2") == 0, "an empty queue")
    world.announced(old, "opened", JOBS)
    assert world.admin("keys", "retire", old, "--no-archive")[0] == 1
    assert world.admin("run")[0] == 0
    code, retired = world.admin("keys", "retire", old, "--no-archive")
    assert code == 0, retired
    until(lambda: all(old not in each for each in world.states()), "both without the old key")
    assert world.web.get(f"/credentials/{number}").json() == CREDENTIAL
