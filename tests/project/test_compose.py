"""compose.yaml: Compose's own schema takes it, and its lines, typed one after the other, are a whole rotation.

No engine runs here: the commands run with the installed program, in the environment of their service.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.databases import open_database
from tests.project.documents import ROOT
from tests.project.programs import run_program
from tests.warm.client import run

TEXT = (ROOT / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
LINES = re.findall(r"^#   (docker compose .*)$", TEXT, re.MULTILINE)
RUN, EXEC = ["docker", "compose", "run", "--rm"], ["docker", "compose", "exec"]
Type = Callable[[str], subprocess.CompletedProcess[str]]


def test_compose_takes_the_file() -> None:
    """The schema of the Compose specification has nothing to say."""
    done = run_program("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(ROOT / "compose.yaml"))

    assert done.returncode == 0, done.stdout


def test_the_schema_refuses_what_is_wrong(tmp_path: Path) -> None:
    """The validator sees a misspelt setting."""
    (tmp_path / "compose.yaml").write_text(TEXT.replace("read_only:", "readonly:"))
    done = run_program("check-jsonschema", "--builtin-schema", "vendor.compose-spec", str(tmp_path / "compose.yaml"))

    assert done.returncode == 1


def test_what_the_file_names_is_there() -> None:
    """Mounted folders exist, named volumes are declared, and a service waits for services of this file."""
    for service in SERVICES.values():
        for source, *_ in (volume.split(":") for volume in service.get("volumes", ())):
            assert (ROOT / source).is_dir() if source.startswith(".") else source in COMPOSE["volumes"]
        assert set(service.get("depends_on", ())) <= set(SERVICES)
    assert {words[len(RUN)] for words in map(shlex.split, LINES) if words[:4] == RUN} == {"keyring-rotate"}


def test_the_program_has_no_more_rights_than_in_kubernetes() -> None:
    """A read-only file system, no capability, and no new privileges; no port is open."""
    for name in ("seed", "keyring-rotate"):
        assert SERVICES[name]["read_only"]
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]
    assert not any("ports" in service for service in SERVICES.values())


@pytest.fixture
def typed(tmp_path: Path) -> Any:
    """Runs a line of the file's head here: the program in its service's environment, and psql as a statement."""
    work = tmp_path / "work"
    work.mkdir()
    with open_database("postgresql", tmp_path) as database:
        here = {
            "/work": str(work),
            "/etc/keyring": str(ROOT / "deploy" / "compose"),
            SERVICES["seed"]["environment"]["DATABASE_URL"]: database.url,
        }

        def placed(text: str) -> str:
            for there, path in here.items():
                text = text.replace(there, path)
            return text

        environ = {"PATH": os.environ["PATH"]}
        environ |= {name: placed(value) for name, value in SERVICES["keyring-rotate"]["environment"].items()}

        def start(argv: list[str]) -> subprocess.CompletedProcess[str]:
            return run(argv, cwd=work, env=environ)

        def type_line(line: str) -> subprocess.CompletedProcess[str]:
            words = shlex.split(line)
            if words[:3] == EXEC:
                assert words[3:7] == ["database", "psql", "-U", "app"]
                database.execute(words[-1])
                return subprocess.CompletedProcess(words, 0, "", "")
            # `docker compose run` starts the seed each time; here the last line's shows that it leaves all as it is.
            if line in (LINES[0], LINES[-2]):
                seeded = start([sys.executable, *map(placed, SERVICES["seed"]["entrypoint"][1:])])
                assert seeded.returncode == 0, seeded.stderr
            return start([str(Path(sys.executable).parent / words[len(RUN)]), *words[len(RUN) + 1 :]])

        yield type_line


@pytest.mark.long
@pytest.mark.database
def test_the_lines_are_a_whole_rotation(typed: Type) -> None:
    """Each line does its step: the first run leaves the row that was cut, the second one is complete."""
    *lines, last = LINES
    printed: dict[str, subprocess.CompletedProcess[str]] = {}
    codes = []
    for line in lines:
        if "OLD_KEY_ID" in line:
            [old] = re.findall(r"(\w{8}) +previous", printed[lines[lines.index(line) - 1]].stdout)
            line = line.replace("OLD_KEY_ID", old)  # noqa: PLW2901
        printed[line] = done = typed(line)
        codes.append(done.returncode)
        assert "Traceback" not in done.stderr

    assert codes == [1, 0, 0, 1, 1, 0, 0, 0, 0, 0], [done.stdout + done.stderr for done in printed.values()]
    assert "812" in printed[lines[0]].stdout
    assert last == "docker compose down --volumes"
