"""PgBouncer in front of a test's PostgreSQL database."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from tests.chaos.server import _folder, _free_port
from tests.databases import IN_CI, Database
from tests.processes import until

FORM = """
[databases]
{further}
{databases} = host={host} port={port} user={user} {password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = {mode}
default_pool_size = {pool_size}
logfile = {log}
pidfile =
"""


@contextmanager
def pooled(
    database: Database,
    pool_size: int = 20,
    mode: str = "transaction",
    databases: str | None = None,
    further: str = "",
) -> Iterator[Database]:
    """*database* with a url for the job that leads through a PgBouncer; the test's own engine does not.

    It knows *databases*, by default all, and *further*: one that it leads elsewhere.
    """
    program, url = _program(), sa.make_url(database.url)
    user = None if os.geteuid() else _account()
    with _folder("pgbouncer-") as folder:
        if user:
            shutil.chown(folder, user)
        listen, log, settings = _free_port(), folder / "log", folder / "pgbouncer.ini"
        how = {"listen": listen, "log": log, "pool_size": pool_size, "mode": mode, "databases": databases or "*"}
        users = folder / "users"
        users.write_text(f'"{url.username}" ""\n')
        settings.write_text(FORM.format(**_server(url), **how, users=users, further=further))
        setpriv = shutil.which("setpriv")
        # Ends with this process, even if that is killed.
        ending = [setpriv, "--pdeathsig=KILL"] if setpriv else []
        command = [*ending, program, "-q", settings]
        process = subprocess.Popen(command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            plain = url.difference_update_query(["host", "port", "options"])
            through = plain.set(host="127.0.0.1", port=listen, password=None)
            _await(through, process, log)
            yield replace(database, url=through.render_as_string(hide_password=False))
        finally:
            process.kill()
            process.wait()


def _server(url: sa.URL) -> Mapping[str, Any]:
    host, port = url.query.get("host") or url.host or "127.0.0.1", url.query.get("port") or url.port or 5432
    return {
        "host": host,
        "port": port,
        "user": url.username,
        "password": f"password={url.password}" * bool(url.password),
    }


def _await(url: sa.URL, process: subprocess.Popen[bytes], log: Path) -> None:
    # Without SQLAlchemy, which begins a transaction: in statement mode there are none.
    text = url.set(drivername="postgresql").render_as_string(hide_password=False)

    def accepts() -> bool:
        try:
            psycopg.connect(text, autocommit=True).close()
        except psycopg.OperationalError:
            return False
        return True

    until(accepts, "the first connection to PgBouncer", process, log)


def _program() -> str:
    """Its path. Skips if it is missing; fails in CI."""
    give_up: Callable[[str], Any] = pytest.fail if IN_CI else pytest.skip
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return found or give_up("no pgbouncer program (apt-get install pgbouncer)")


def _account() -> str:
    """An account to run it with in place of root, which it refuses."""
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
