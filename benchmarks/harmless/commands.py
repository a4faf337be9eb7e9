"""What real programs print, in an environment of their own: nothing of the user's settings and secrets is in it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from benchmarks.harmless.examples import harmless
from benchmarks.harmless.kinds import Kind, UnavailableError

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(__file__).parent / "programs"
PACKAGES = Path(sysconfig.get_path("purelib"))
SECONDS = 300
NO_SERVER = 77
"""The exit code of a program whose server does not answer."""

_NOT_INSTALLED = re.compile(r"No module named \S+\s*\Z")
PYTHON = sys.executable
MODULES = """
pip install, pip download, pip config, venv, http.server, json.tool, unittest, zipfile, trace, timeit, cProfile, pytest,
ruff check, mypy, alembic, alembic upgrade, celery worker, uvicorn, flask, django startproject, twine upload, keyring,
mkdocs, coverage, virtualenv, build, dotenv, pygments, cyclonedx_py environment, rotation, rotation run, rotation check,
rotation keys stage, rotation keys retire, ensurepip, webbrowser, calendar
"""
PAGES = "psql mysql mysqldump mysqladmin curl pg_dump createuser redis-cli rabbitmqctl useradd passwd chage login"

COMMANDS = {
    "--help of Python's modules": "".join(
        f"python -m {module} --help\n" for module in map(str.strip, MODULES.split(","))
    ),
    "manual pages": "".join(f"man --pager=cat {page}\n" for page in PAGES.split()),
    "pip": """
        python -m pip list
        python -m pip debug
        python -m pip show --verbose django sqlalchemy celery keyring cryptography pip
        python -m pip install --verbose --dry-run --no-index django keyring no-such-package
    """,
    "git log": f"git -C {ROOT} log -n 400 --stat",
    "git diff": f"git -C {ROOT} log -n 60 -p -- keyring_core rotation docs/how-to",
    "ruff": "python -m ruff check --isolated --select ALL "
    + " ".join(str(PACKAGES / name) for name in ("django/contrib/auth", "requests", "starlette")),
    "mypy": "python -m mypy --strict --cache-dir /dev/null -p requests -p kombu",
    "python -m trace": f"python -m trace --trace {PROGRAMS / 'traced.py'}",
    "openssl": """
        openssl req -x509 -newkey rsa:2048 -nodes -keyout /dev/null -subj /CN=a -text
        openssl version -a
        openssl ciphers -v
        openssl list -digest-algorithms
        openssl help
        openssl passwd -help
        openssl req -help
        openssl genpkey -help
        openssl enc -help
    """,
    "node and npm": """
        node --help
        node -e "require('crypto').createHmac('sha256')"
        node -e "const token = null; token.header.alg"
        npm help token --viewer=man
        npm help config --viewer=man
        npm help login --viewer=man
        npm help audit --viewer=man
        npm ls --all
    """,
    "SBOM": f"python -m cyclonedx_py environment --output-reproducible {PYTHON}",
    "keyring-rotate": """
        python -m rotation demo
        python -m rotation check
        python -m rotation init --app superset
        python -m rotation init --app airflow
    """,
    "redis": """
        redis-cli INFO everything
        redis-cli CLIENT LIST
        redis-cli --help
    """,
    "programs' versions and settings": """
        psql --help
        mariadb --help --verbose --no-defaults
        curl --help all
        curl --version
        python -m sysconfig
        python -m site
    """,
}
"""Commands of each kind, one a line."""


def kinds() -> Iterator[Kind]:
    """The commands, and the programs in the folder beside this file."""
    for name, text in COMMANDS.items():
        yield Kind(name, partial(_printed, [shlex.split(line) for line in text.splitlines() if line.strip()]))
    for program in sorted(PROGRAMS.glob("*.py")):
        title = program.read_text().split('"""')[1].partition(":")[0]
        if program.name != "traced.py":
            yield Kind(title, partial(_printed, [["python", "-X", "dev", str(program)]]))


def _printed(commands: Iterable[list[str]]) -> Iterator[str]:
    """The lines that *commands* print to stdout and stderr."""
    present = [command for command in commands if command[0] == "python" or shutil.which(command[0])]
    if not present:
        raise UnavailableError("not installed")
    with tempfile.TemporaryDirectory() as folder:
        for command in present:
            done = subprocess.run(
                [PYTHON, *command[1:]] if command[0] == "python" else command,
                cwd=folder,
                env=_environment(folder),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=SECONDS,
                check=False,
            )
            if done.returncode == NO_SERVER:
                raise UnavailableError("its server does not answer")
            text = done.stdout.decode(errors="replace").replace(folder, "/srv/app")
            if not _NOT_INSTALLED.search(text):
                yield from harmless(text.splitlines())


def _environment(folder: str) -> dict[str, str]:
    """The few variables that a program needs; and the test databases, whose URLs have no passwords."""
    servers = {name: os.environ[name] for name in ("TEST_POSTGRES_URL", "TEST_MARIADB_URL") if name in os.environ}
    return {
        "PATH": os.environ["PATH"],
        "HOME": folder,
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "MANWIDTH": "120",
        **servers,
    }
