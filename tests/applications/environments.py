"""A virtual environment for each application, made once, and drivers that write and read secrets in it."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.keys import key_text

HERE = Path(__file__).parent
FOLDER = Path(os.environ.get("TEST_APPLICATIONS", HERE.parents[1] / ".venv-applications"))


@dataclass(frozen=True)
class Application:
    """What `applications.toml` says of an application."""

    name: str
    secret: str
    """The form of its secret: one of `FORMS`."""
    variables: Mapping[str, str]
    """What to set; {secret} stands for the secret, {file} and {folder} for where it is written."""
    databases: tuple[str, ...]
    seconds: Mapping[str, int]
    """Processor time: to install its environment, and to write or read once."""
    python: str = ""
    """The versions of Python that it runs on."""
    ci: bool = False
    """Whether the long tests have it, too."""

    def secret_of(self, label: str) -> str:
        """The test secret of that *label*, in the application's form."""
        return FORMS[self.secret](key_text(label))

    def environ(self, secret: str, folder: Path) -> dict[str, str]:
        """The variables that give the application that *secret* alone: in *folder*, if it reads files."""
        (folder / "file").write_text(secret)
        keys = folder / "keys"
        keys.mkdir(mode=0o700)
        for number, line in enumerate(reversed(secret.splitlines()), 1):
            (keys / f"{number}").write_text(line)
        places = {"secret": secret, "file": folder / "file", "folder": keys}
        return {name: value.format(**places) for name, value in self.variables.items()}


FORMS: Mapping[str, Callable[[str], str]] = {
    "fernet": str,
    "unpadded": lambda key: key.rstrip("="),
    "hex": lambda key: base64.urlsafe_b64decode(key).hex(),
    "text32": lambda key: base64.urlsafe_b64decode(key).hex()[:32],
    "text": lambda key: f"test secret, {key[:4]}",
}
"""How a secret of that form is made of a test key."""


APPLICATIONS = {
    name: Application(name, **facts) for name, facts in tomllib.loads((HERE / "applications.toml").read_text()).items()
}


def run_driver(
    app: Application, command: str, url: str, secrets: Mapping[str, str], secret: str | None
) -> dict[str, str]:
    """Lets *app* `write` the *secrets* into every column it has for them, or `read` them: texts by place and name.

    *secret*, of which it makes its key, is all that it gets beside the database: no run sees the files of another.
    """
    folder = environment(HERE / f"requirements/{app.name}.txt")
    with tempfile.TemporaryDirectory() as key_folder:
        environ = {} if secret is None else app.environ(secret, Path(key_folder))
        driver = HERE / f"drivers/{app.name}.py"
        return dict(drive(folder, driver, command, url, values=dict(secrets), environ=environ))


def drive(  # noqa: PLR0913 - which driver, what to do, and in which surroundings
    folder: Path, driver: Path, command: str, url: str, *, values: object, environ: Mapping[str, str]
) -> Any:
    """What *driver* returns for the *command*, run in the environment in *folder* with no variables but *environ*."""
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [folder / "bin/python", "-I", HERE / "drive.py", driver, command, _plain(url)],
            input=json.dumps(values),
            env={"HOME": home, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", **environ},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def environment(requirements: Path, *, with_pip: bool = True, archives: Path | None = None) -> Path:
    """The folder of a virtual environment: made at the first call, and again when its *requirements* change.

    To leave out pip, and the setuptools that come with it, saves four seconds.
    Its folder `archives` gets the source archives that the list *archives* names, with their hashes; they are built by
    what the requirements install.
    """
    folder = FOLDER / requirements.stem
    installed = folder / "installed.txt"
    wanted = requirements.read_text() + (archives.read_text() if archives else "")
    with _locked(FOLDER / f"{requirements.stem}.lock"):
        if not installed.exists() or installed.read_text() != wanted:
            python = folder / "bin/python"
            _run(sys.executable, "-m", "venv", "--clear", *([] if with_pip else ["--without-pip"]), folder)
            pip = [python, "-m", "pip"] if with_pip else [sys.executable, "-m", "pip", "--python", python]
            _pip(*pip, "install", "-q", "--no-deps", "-r", requirements)
            if archives:
                source = ["--no-binary", ":all:", "--no-build-isolation", "--require-hashes"]
                _pip(*pip, "download", "-q", "--no-deps", *source, "-d", folder / "archives", "-r", archives)
            installed.write_text(wanted)
    return folder


def _pip(*argv: str | Path) -> None:
    _run(*argv, fault=f"pip could not get what {argv[-1]} lists: is the package index reachable from here?")


def _run(*argv: str | Path, fault: str = "") -> None:
    # Some packages take their version from git: not from the repository around their environment.
    environ = {**os.environ, "GIT_CEILING_DIRECTORIES": str(FOLDER)}
    done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{fault}\n{done.stderr}"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Workers of pytest-xdist wait for the one that installs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _plain(url: str) -> str:
    """*url* without a driver and its options: each application has its own."""
    parsed = sa.make_url(url)
    plain = parsed.set(drivername=parsed.get_backend_name(), query={})
    return plain.render_as_string(hide_password=False)
