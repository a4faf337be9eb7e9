"""The servers, and one start of one of them: each worker is counted, keeps the key that it reads with, and leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Literal, Protocol

import sqlalchemy as sa
from celery import Celery
from redis import Redis
from rq import Queue

from keyring_core import Keyring
from rotation.ledger.ledger import Ledger
from tests.databases import REDIS_URL
from tests.examples.typed import free_port
from tests.keys import make_key
from tests.processes import ROOT, end_of, run, until

HOUR = timedelta(hours=1)
BROKER = f"{REDIS_URL.rpartition('/')[0]}/9"
PYTHON = (sys.executable, "-m")
STILL = 150
"""Looks at a server that gets no further, after which it has frozen; each takes a tenth of a second."""
ANSWERS = 2000
"""So many answers of some workers, without one of another: that one has frozen."""
STATS = "stats"
"""The socket at which uWSGI says what its workers do."""
UNANSWERED = 12
"""So many requests in vain, each for REQUEST_SECONDS: no worker answers."""
REQUEST_SECONDS = 5
LOOKS = 80
"""Looks at the ledger, after which an entry does not come any more."""


@dataclass(frozen=True)
class Server:
    """A server, and how its own documentation starts and ends it. `{port}` in a word is the port."""

    name: str
    words: tuple[str, ...]
    loaded: Literal["before the fork", "in each worker", "in each job", "in the process"]
    end: signal.Signals = signal.SIGTERM
    workers: int = 2
    asked: Literal["web", "celery", "rq"] = "web"
    environ: Mapping[str, str] = field(default_factory=dict)


def _gunicorn(kind: str, *, preload: bool) -> Server:
    words = ["gunicorn", "--workers", "2", "--worker-class", kind, "--bind", "127.0.0.1:{port}"]
    words += ["--preload"] if preload else []
    name = f"gunicorn {kind}{' --preload' if preload else ''}"
    loaded: Literal["before the fork", "in each worker"] = "before the fork" if preload else "in each worker"
    return Server(name, (*PYTHON, *words, "tests.served.web"), loaded)


def _uwsgi(
    name: str,
    *words: str,
    loaded: Literal["before the fork", "in each worker"] = "before the fork",
    end: signal.Signals = signal.SIGINT,
) -> Server:
    program = (
        shutil.which("uwsgi", path=str(Path(sys.executable).parent)) or "uwsgi",
        "--master",
        "--processes",
        "2",
        "--disable-logging",
        "--stats",
        STATS,
    )
    return Server(
        name, (*program, "--http-socket", "127.0.0.1:{port}", *words, "--module", "tests.served.web"), loaded, end
    )


def _family(name: str, method: str, workers: int = 2, **environ: str) -> Server:
    loaded: Literal["before the fork", "in each worker"] = "before the fork" if method == "fork" else "in each worker"
    return Server(name, (*PYTHON, "tests.served.family", method, "{port}"), loaded, workers=workers, environ=environ)


_CELERY = (*PYTHON, "celery", "-A", "tests.served.tasks", "worker", "-c", "2", "--without-gossip", "--without-mingle")

SERVERS = {
    server.name: server
    for server in (
        # uWSGI: "SIGQUIT and SIGINT: kill all the workers"; SIGTERM ends it with --die-on-term alone.
        _uwsgi("uwsgi"),
        _uwsgi("uwsgi --enable-threads", "--enable-threads"),
        _uwsgi("uwsgi --lazy-apps", "--lazy-apps", "--die-on-term", loaded="in each worker", end=signal.SIGTERM),
        *(_gunicorn(kind, preload=preload) for kind in ("sync", "gthread", "gevent") for preload in (False, True)),
        Server(
            "uvicorn --workers",
            (*PYTHON, "uvicorn", "tests.served.lifespan:app", "--workers", "2", "--port", "{port}"),
            "in each worker",
        ),
        Server(
            "waitress",
            (*PYTHON, "waitress", "--listen", "127.0.0.1:{port}", "tests.served.web:application"),
            "in the process",
            workers=1,
            environ={"END_ON_SIGTERM": "1"},
        ),
        Server("celery", _CELERY, "before the fork", asked="celery"),
        Server(
            "celery worker_process_init",
            _CELERY,
            "in each worker",
            asked="celery",
            environ={"IN_EACH_PROCESS": "1"},
        ),
        Server(
            "rq",
            (
                *(*PYTHON, "rq.cli", "worker-pool", "--num-workers", "2", "--url", BROKER),
                *("--worker-class", "tests.served.horses.Worker", "served"),
            ),
            "before the fork",
            asked="rq",
        ),
        *(_family(f"multiprocessing {method}", method) for method in ("fork", "forkserver", "spawn")),
        _family("multiprocessing fork, terminate()", "fork", END_ON_SIGTERM="1"),
        _family("a process", "alone", workers=1, END_ON_SIGTERM="1"),
    )
}


@dataclass
class Outcome:
    """One start of a server, step by step. A step that was not reached is false or empty."""

    server: Server
    beat: float
    """Seconds between two beats. With a minute, reads are not waited for until the end."""
    fault: str = ""
    """The reason and the log, if it froze or did not end."""
    workers: tuple[int, ...] = ()
    """The ids of the processes that opened the token."""
    counted: tuple[int, ...] = ()
    """Those with an entry in the ledger."""
    recorded: tuple[int, ...] = ()
    """Those whose reads were in the ledger while the server ran."""
    kept: tuple[int, ...] = ()
    """Those whose reads were there after its end."""
    refusals: list[bool] = field(default_factory=list)
    """Before the end and after it: true if `keys retire` refused, and named each worker."""
    ended: bool = False
    left: tuple[str, ...] = ()
    """The entries in the ledger after the end."""
    answer_seconds: float = 0
    """Until the first answer."""
    count_seconds: float = 0
    """Until each worker had an entry."""
    end_seconds: float = 0
    log: str = ""

    @property
    def is_quick(self) -> bool:
        """True if it is worth waiting for a beat."""
        return self.beat < 1

    @property
    def froze(self) -> bool:
        """True if not every worker answered; also if the server ended before that."""
        return len(self.workers) < self.server.workers

    @property
    def keeps_the_key(self) -> bool:
        """True if the reads of each worker were recorded, and `keys retire` refused because of them."""
        recorded = not self.is_quick or self.recorded == self.workers
        return not self.froze and recorded and self.kept == self.workers and all(self.refusals)

    def faults(self) -> list[str]:
        """What was not as it should be; empty if all was well."""
        said = {
            self.fault: bool(self.fault),
            f"{len(self.workers)} of {self.server.workers} workers answered": self.froze,
            f"counted: {self.counted} of {self.workers}": self.counted != self.workers,
            f"reads recorded: {self.recorded} of {self.workers}": self.is_quick and self.recorded != self.workers,
            f"reads kept: {self.kept} of {self.workers}": self.kept != self.workers,
            f"`keys retire` refused and named each: {self.refusals}": not all(self.refusals),
            "it did not end": not self.ended,
            f"left at the end: {self.left}": bool(self.left),
        }
        return [words for words, is_so in said.items() if is_so]


class Visits(Protocol):
    """Those who ask the workers."""

    unanswered: int
    """Requests that waited in vain."""

    def pids(self) -> list[int]:
        """The processes that answered, one for each answer."""
        ...

    def rest(self) -> None:
        """Asks no more, so that the workers have nothing to do."""

    def close(self) -> None:
        """Lets what was asked end."""


class Visitors:
    """Clients of a web server: four at a time, each with a new connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._over = threading.Event()
        self._pids: list[int] = []
        self.unanswered = 0
        self._threads = [threading.Thread(target=self._visit) for _ in range(4)]
        for thread in self._threads:
            thread.start()

    def pids(self) -> list[int]:
        """The processes that answered, one for each answer."""
        return [*self._pids]

    def rest(self) -> None:
        """Asks no more; no request waits after it."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    close = rest

    def _visit(self) -> None:
        while not self._over.is_set():
            connection = HTTPConnection("127.0.0.1", self._port, timeout=REQUEST_SECONDS)
            try:
                connection.request("GET", "/")
                reply = connection.getresponse()
                text = reply.read()
                if reply.status in {200, 423}:
                    self._pids.append(int(text))
            except TimeoutError:
                self.unanswered += 1
            except (OSError, HTTPException):
                self._over.wait(0.05)
            finally:
                connection.close()


class Jobs:
    """A job for each worker, which ends when this is closed."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._folder, self.unanswered = folder, 0
        with Redis.from_url(BROKER) as redis:
            redis.flushdb()
            if server.asked == "rq":
                for _ in range(server.workers):
                    Queue("served", connection=redis).enqueue("tests.served.horses.read")
        if server.asked == "celery":
            with Celery("served", broker=BROKER) as celery:
                for _ in range(server.workers):
                    celery.send_task("tests.served.tasks.read", queue="served")

    def pids(self) -> list[int]:
        """The processes that do a job."""
        path = self._folder / "answers"
        return [int(line) for line in path.read_text().splitlines()] if path.exists() else []

    def rest(self) -> None:
        """Nothing: each worker waits in its job."""

    def close(self) -> None:
        """Lets the jobs end."""
        (self._folder / "released").touch()


def play(server: Server, folder: Path, ledger_url: str | None = None, seconds: float = 0.1) -> Outcome:
    """One start of *server*, with its files in *folder*, which has to be empty, and a beat every so many *seconds*.

    With a beat of a minute a worker's reads are in the ledger after its end, and `keys retire` refuses then.
    """
    url = ledger_url or f"sqlite:///{folder}/ledger.db"
    environ = {**_environment(folder, url), "BEAT_SECONDS": str(seconds), **server.environ}
    assert _admin(environ, "run")[0] == 0
    outcome, log = Outcome(server, seconds), folder / "log"
    try:
        with started(server, environ, folder) as (process, visits), Ledger.open(url) as ledger:
            began = time.perf_counter()
            those_that_answer(server, visits, process, log, least=1)
            outcome.answer_seconds = time.perf_counter() - began
            outcome.workers = those_that_answer(server, visits, process, log)
            assert not outcome.froze, f"only these answer: {outcome.workers}; its log:\n{_end_of_file(log)}"
            visits.rest()
            _wait_for_entries(outcome, ledger, began)
            if outcome.is_quick:
                comes(lambda: _read(outcome, ledger) == outcome.workers)
                outcome.recorded = _read(outcome, ledger)
                outcome.refusals.append(_refuses(outcome, environ))
            visits.close()
            until(lambda: _is_idle(server, folder), "the end of the last request", process, log, still=STILL)
            told = time.perf_counter()
            process.send_signal(server.end)
            end_of(process, server.name, log, still=STILL)
            outcome.end_seconds, outcome.ended = time.perf_counter() - told, True
            outcome.left = tuple(each.instance for each in ledger.instances(HOUR))
            outcome.kept = _read(outcome, ledger)
            outcome.refusals.append(_refuses(outcome, environ))
    except AssertionError as error:
        outcome.fault = str(error)
    outcome.log = log.read_text(errors="replace")
    return outcome


def _end_of_file(path: Path) -> str:
    return path.read_text(errors="replace")[-5000:]


def _environment(folder: Path, ledger_url: str) -> dict[str, str]:
    """The variables of the service and of the admin: a database whose tokens are under the new key, and both keys."""
    keys = folder / "keys"
    keys.mkdir()
    texts = {"primary": make_key("new").reveal(), "previous": make_key("old").reveal(), "staged": "", "suspended": ""}
    for name, text in texts.items():
        (keys / name).write_text(text)
        (keys / name).chmod(0o600)
    (folder / "token").write_text(Keyring(make_key("old")).encrypt("sk-live-Zq3vK9tLxW7eRb-4242"))
    engine = sa.create_engine(f"sqlite:///{folder}/app.db")
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
        token = Keyring(make_key("new")).encrypt("sk-live-1")
        connection.execute(sa.text("INSERT INTO creds VALUES (1, :token)"), {"token": token})
    engine.dispose()
    toml = f'[[target]]\nurl = "sqlite:///{folder}/app.db"\ntable = "creds"\ncolumns = ["token"]\n'
    (folder / "rotation.toml").write_text(toml)
    return {
        **{name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}},
        "PYTHONPATH": str(ROOT),
        "ENCRYPTION_KEY_FILE": f"{keys}/primary",
        "ENCRYPTION_PREVIOUS_KEYS_FILE": f"{keys}/previous",
        "ENCRYPTION_STAGED_KEY_FILE": f"{keys}/staged",
        "ENCRYPTION_SUSPENDED_KEYS_FILE": f"{keys}/suspended",
        "ROTATION_CONFIG": f"{folder}/rotation.toml",
        "ROTATION_LEDGER_URL": ledger_url,
        "ROTATION_SERVICE": "shop",
        "SERVED_FOLDER": str(folder),
        "BROKER": BROKER,
    }


@contextmanager
def started(
    server: Server, environ: Mapping[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Visits]]:
    """The server's main process, with its log in *folder*, and those who ask it; nothing of it is left afterwards."""
    port = free_port()
    words = [word.format(port=port) for word in server.words]
    visits: Visits = Visitors(port) if server.asked == "web" else Jobs(server, folder)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(words, env=environ, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        yield process, visits
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        visits.close()


def those_that_answer(
    server: Server, visits: Visits, process: subprocess.Popen[bytes], log: Path, least: int | None = None
) -> tuple[int, ...]:
    """The processes that answer: all workers, or as many as *least* says; fewer, if the others answer no more.

    Raises AssertionError if the server ended, or gets no further.
    """
    number = server.workers if least is None else least

    def answered() -> bool:
        pids = visits.pids()
        return len(set(pids)) >= number or len(pids) > ANSWERS or visits.unanswered > UNANSWERED

    until(answered, f"the answers of {server.name}", process, log, still=STILL)
    return tuple(sorted(set(visits.pids())))


def comes(ready: Callable[[], bool]) -> bool:
    """Waits for what may never come."""
    for _ in range(LOOKS):
        if ready():
            return True
        time.sleep(0.1)
    return False


def _is_idle(server: Server, folder: Path) -> bool:
    """Whether no worker of uWSGI is in a request, which ends after its answer: until then it runs no exit handlers."""
    if STATS not in server.words:
        return True
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(str(folder / STATS))
        workers = json.load(asking.makefile())["workers"]
    return all(worker["status"] == "idle" for worker in workers)


def _wait_for_entries(outcome: Outcome, ledger: Ledger, began: float) -> None:
    def counted() -> bool:
        announced = {each.instance for each in ledger.instances(HOUR)}
        outcome.counted = tuple(pid for pid in outcome.workers if _instance(pid) in announced)
        return outcome.counted == outcome.workers

    if comes(counted):
        outcome.count_seconds = time.perf_counter() - began


def _read(outcome: Outcome, ledger: Ledger) -> tuple[int, ...]:
    """The workers whose reads with the old key are in the ledger."""
    read = {each.instance for each in ledger.reads() if each.key_id == make_key("old").id and each.opened}
    return tuple(pid for pid in outcome.workers if _instance(pid) in read)


def _refuses(outcome: Outcome, environ: Mapping[str, str]) -> bool:
    """True if `keys retire` refuses, and names each worker."""
    code, said = _admin(environ, "keys", "retire", make_key("old").id, "--no-archive")
    return code == 1 and all(f"shop on {_instance(pid)} opened" in said for pid in outcome.workers)


def _instance(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}"


def _admin(environ: Mapping[str, str], *words: str) -> tuple[int, str]:
    """The exit code of a command, and what it says."""
    done = run([sys.executable, f"{ROOT}/scripts/rotate.py", *words, "--json"], env=environ)
    document: dict[str, Any] = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, " ".join(each["reason"] for each in document.get("refused", []))
