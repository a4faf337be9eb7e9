"""PgBouncer in transaction mode, in front of a test's PostgreSQL database."""

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

import pytest
import sqlalchemy as sa

from tests.chaos.server import _folder, _free_port, accepts
from tests.databases import IN_CI, Database
from tests.processes import until

FORM = """
[databases]
{further}
* = host={host} port={port} user={user} {password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
ignore_startup_parameters = options, extra_float_digits
logfile = {log}
pidfile =
"""


@contextmanager
def pooled(database: Database, pool_size: int = 20, further: str = "") -> Iterator[Database]:
    """*database* with a url for the job that leads through a PgBouncer; the test's own engine does not.

    *further*: a database that it leads elsewhere.
    """
    program, url = _program(), sa.make_url(database.url)
    user = None if os.geteuid() else _account()
    with _folder("pgbouncer-") as folder:
        if user:
            shutil.chown(folder, user)
        listen, log, settings = _free_port(), folder / "log", folder / "pgbouncer.ini"
        where = {**_server(url), "further": further, "listen": listen, "log": log, "pool_size": pool_size}
        settings.write_text(FORM.format(**where))
        setpriv = shutil.which("setpriv")
        # Ends with this process, even if that is killed.
        ending = [setpriv, "--pdeathsig=KILL"] if setpriv else []
        command = [*ending, program, "-q", settings]
        process = subprocess.Popen(command, user=user, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            through = url.set(host="127.0.0.1", port=listen, password=None).difference_update_query(["host", "port"])
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
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    until(lambda: accepts(engine), "the first connection to PgBouncer", process, log)


def _program() -> str:
    """Its path. Skips if it is missing; fails in CI."""
    give_up: Callable[[str], Any] = pytest.fail if IN_CI else pytest.skip
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return found or give_up("no pgbouncer program (apt-get install pgbouncer)")


def _account() -> str:
    """An account to run it with in place of root, which it refuses."""
    return "postgres" if "postgres" in {entry.pw_name for entry in pwd.getpwall()} else "nobody"
