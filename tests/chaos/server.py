"""A server of a test's own, to be stopped and started at will."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.databases import Database


@dataclass
class Server:
    """A server that runs."""

    database: Database
    restart: Callable[[str], None]
    """Its mode: "fast" ends every connection, "immediate" is a crash with a recovery."""
    processes: Callable[[], list[int]] = list
    """The ids of its processes."""


@contextmanager
def own_postgres(*settings: str) -> Iterator[Server]:
    """A fresh server with *settings*; gone afterwards. Skips where there is no PostgreSQL program to start."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="chaos-postgres-"))
    port = _free_port()
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        _run([str(programs / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"])
        options = " ".join([f"-p {port} -k {folder} -c listen_addresses=127.0.0.1", *(f"-c {one}" for one in settings)])
        ctl = [str(programs / "pg_ctl"), "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options]
        _run([*ctl, "start"])
        url = f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
        engine = sa.create_engine(url)
        try:
            yield Server(
                Database("postgresql", url, engine),
                lambda mode: _run([*ctl, "-m", mode, "restart"]),
                lambda: _with_children(int((data / "postmaster.pid").read_text().split()[0])),
            )
        finally:
            engine.dispose()
            _run([*ctl, "-m", "immediate", "stop"])
    finally:
        shutil.rmtree(folder)


@contextmanager
def own_mariadb() -> Iterator[Server]:
    """A fresh server; gone afterwards. Skips where there is no MariaDB program to start."""
    install, program = shutil.which("mariadb-install-db"), shutil.which("mariadbd", path="/usr/sbin:/usr/bin")
    if install is None or program is None:
        pytest.skip("no MariaDB programs to start a server of its own with")
    folder, port = Path(tempfile.mkdtemp(prefix="chaos-mariadb-")), _free_port()
    data = f"--datadir={folder / 'data'}"
    options = [f"--port={port}", "--bind-address=127.0.0.1", f"--socket={folder / 'socket'}", "--user=root"]
    server: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        with (folder / "log").open("ab") as log:
            server[:] = [subprocess.Popen([program, "--no-defaults", data, *options], stdout=log, stderr=log)]
        _wait_for(port)

    def restart(mode: str) -> None:
        server[0].terminate() if mode == "fast" else server[0].kill()
        server[0].wait(60)
        start()

    try:
        _run([install, "--no-defaults", data, "--auth-root-authentication-method=normal", "--skip-test-db"], user=None)
        start()
        url = f"mysql+pymysql://root@127.0.0.1:{port}/chaos?charset=utf8mb4"
        admin = sa.create_engine(sa.make_url(url).set(database="mysql"), isolation_level="AUTOCOMMIT")
        with admin.connect() as connection:
            connection.exec_driver_sql("CREATE DATABASE chaos CHARACTER SET utf8mb4")
        admin.dispose()
        engine = sa.create_engine(url)
        yield Server(Database("mariadb", url, engine), restart, lambda: [server[0].pid])
        engine.dispose()
    finally:
        for process in server:
            process.kill()
            process.wait(60)
        shutil.rmtree(folder)


def _with_children(parent: int) -> list[int]:
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
    return [parent, *map(int, children.split())]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server does not start")


def _programs() -> Path:
    """Where initdb and pg_ctl are. As root, only an account named postgres can run them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("no PostgreSQL programs to start a server of its own with")
    if os.geteuid() == 0 and "postgres" not in {entry.pw_name for entry in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no account named postgres")
    return Path(initdb).parent


def _run(command: list[str], user: str | None = "postgres") -> None:
    user = user if os.geteuid() == 0 else None
    subprocess.run(command, user=user, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, cwd="/")
