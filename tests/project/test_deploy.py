"""deploy/: what is there works, as the tools say that will read it."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from keyring_core import reads_metrics
from rotation.checks.verdict import Verdict
from rotation.cli.main import cli
from rotation.cli.shared_options import Process
from rotation.configuration.policy import Policy
from rotation.world.process import Streams
from tests.checks.worlds import NOW, facts, target
from tests.keys import key_text
from tests.outputs.taken import write_metrics
from tests.project.kubernetes import invalid

pytestmark = pytest.mark.database

DEPLOY = Path(__file__).parents[2] / "deploy"
CRONJOBS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "cronjobs.yaml").read_text()))
CRON = (DEPLOY / "cron" / "keyring.cron").read_text()
PROGRAM = "keyring-rotate"
SUFFIXES = {".conf", ".cron", ".service", ".timer"}
"""Of files with command lines. The jobs of Kubernetes are read as such."""


def tool(name: str) -> str:
    """The path of a tool; skips where it is not installed."""
    return shutil.which(name) or pytest.skip(f"{name} is not installed")


def accepted(argv: list[str]) -> str:
    """The name of the command that accepts *argv*. Raises click's error if none does."""
    process = Process({}, Streams())
    command = cli.commands[argv[0]]
    with click.Context(cli, obj=process) as parent:
        # The error as it is, not as a plugin tells it.
        click.Command.make_context(command, argv[0], argv[1:], parent=parent)
    return argv[0]


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line in deploy/, behind the program's name."""
    for path in sorted(DEPLOY.rglob("*")):
        for line in path.read_text().splitlines() if path.suffix in SUFFIXES else ():
            if PROGRAM in line and not line.startswith(("#", "Description")):
                yield path.name, shlex.split(line.partition(PROGRAM)[2].replace("%i", "run"))
    for job in CRONJOBS:
        yield job["metadata"]["name"], container(job)["command"][1:]


def pod(job: dict[str, Any]) -> dict[str, Any]:
    return dict(job["spec"]["jobTemplate"]["spec"]["template"]["spec"])


def container(job: dict[str, Any]) -> dict[str, Any]:
    [only] = pod(job)["containers"]
    return dict(only)


@pytest.mark.parametrize(("place", "argv"), list(commands()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_command_is_one_that_the_command_line_takes(place: str, argv: list[str]) -> None:
    """Commands and options are spelt as they are today."""
    assert accepted(argv) in {"check", "run"}


def test_an_option_that_is_no_more_would_be_found() -> None:
    """The test above sees what it is there for."""
    with pytest.raises(click.UsageError):
        accepted(["check", "--no-such-option"])


@pytest.fixture
def units(tmp_path: Path) -> dict[str, str]:
    """The units where systemd-analyze looks for them, with a program that is there; and its environment."""
    folder = tmp_path / "units"
    shutil.copytree(DEPLOY / "systemd", folder)
    for path in folder.rglob("*"):
        if path.is_file():
            path.write_text(re.sub(r"/opt/keyring/bin/keyring-rotate", "/bin/true", path.read_text()))
    return {**os.environ, "SYSTEMD_UNIT_PATH": f"{folder}:"}


@pytest.mark.parametrize("command", ["check", "run"])
def test_systemd_takes_the_units(units: dict[str, str], command: str) -> None:
    """`systemd-analyze verify` has nothing to say of service and timer."""
    names = [f"keyring@{command}.service", f"keyring@{command}.timer"]
    done = subprocess.run(
        [tool("systemd-analyze"), "verify", *names], env=units, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["check", "run"])
def test_systemd_finds_the_services_little_exposed(units: dict[str, str], command: str) -> None:
    """`systemd-analyze security` gives 1.5 of 10 at most; a service without settings has 9.4."""
    argv = [tool("systemd-analyze"), "security", "--offline=true", "--threshold=15", f"keyring@{command}.service"]
    done = subprocess.run(argv, env=units, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout[-400:]


def test_keys_reach_the_service_as_credentials() -> None:
    """Each key file of the environment is a credential that systemd loads; no key stands in a unit."""
    unit = (DEPLOY / "systemd" / "keyring@.service").read_text()
    loaded = re.findall(r"^LoadCredential=(\w+):", unit, re.MULTILINE)
    named = re.findall(r"^Environment=ENCRYPTION_\w+_FILE=%d/(\w+)$", unit, re.MULTILINE)

    names = ["key", "previous_keys", "staged_key", "suspended_keys"]
    assert loaded == named == [f"encryption_{name}" for name in names]
    assert {"ProtectSystem=strict", "NoNewPrivileges=yes", "User=keyring"} <= set(unit.splitlines())


def test_a_check_runs_without_memory_that_is_written_and_executed(tmp_path: Path) -> None:
    """MemoryDenyWriteExecute forbids nothing that we need: cryptography, SQLAlchemy and the rest load without it."""
    path = tmp_path / "rotation.toml"
    path.write_text(f'[[target]]\nurl = "sqlite:///{tmp_path}/app.db"\ntable = "creds"\ncolumns = ["token"]\n')
    with closing(sqlite3.connect(tmp_path / "app.db")) as connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token TEXT)")
    code = (
        "import ctypes, sys; sys.argv[1:] = ['check', '--config', 'rotation.toml', '--format', 'nagios'];"
        "refused = ctypes.CDLL(None).prctl(65, 1, 0, 0, 0);"  # PR_SET_MDWE, of Linux 6.3
        "sys.exit('too old') if refused else None;"
        "from rotation.__main__ import start; start()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "ENCRYPTION_KEY": key_text("new")},
        capture_output=True,
        text=True,
        check=False,
    )
    if "too old" in done.stderr:
        pytest.skip("this kernel cannot forbid it")

    assert done.stdout.startswith("ROTATION OK"), done.stderr


def test_the_crontab_is_one() -> None:
    """Variables, then lines of five fields of time, a user that exists in the text above, and a command."""
    lines = [line for line in CRON.splitlines() if line and not line.startswith("#")]
    entries = [line for line in lines if not re.fullmatch(r"[A-Z_]+=\S+", line)]

    assert lines[-len(entries) :] == entries
    for entry in entries:
        *times, user, command = entry.split(maxsplit=6)
        assert all(re.fullmatch(r"\*|\d{1,2}", time) for time in times)
        assert len(times) == 5
        assert user == "keyring"
        # cron ends a command at a bare percent sign.
        assert "%" not in command
    # Cron knows no other place for what rotation.toml names.
    assert any(line.startswith("DATABASE_URL=") for line in lines)


@pytest.mark.parametrize("job", CRONJOBS, ids=lambda job: job["metadata"]["name"])
@pytest.mark.parametrize("version", ["1.31", "1.35"])
def test_kubernetes_takes_the_cronjobs(job: dict[str, Any], version: str) -> None:
    """Valid against Kubernetes' own schemas, and no field that they do not know."""
    assert invalid(job, version) is None


@pytest.mark.parametrize("job", CRONJOBS, ids=lambda job: job["metadata"]["name"])
def test_the_page_creates_what_the_cronjobs_mount(job: dict[str, Any]) -> None:
    """Each Secret and ConfigMap of a pod is made by a command of the page, and its keys by the names that it reads."""
    page = (DEPLOY.parent / "docs" / "how-to" / "schedule-the-check.md").read_text()
    created = {
        name: line for line, name in re.findall(r"^(kubectl create (?:secret generic|configmap) (\S+).*)$", page, re.M)
    }
    volumes = {volume["name"]: volume for volume in pod(job)["volumes"]}
    own = container(job)
    files = {
        each["value"].rpartition("/")[2] for each in own["env"] if each.get("value", "").startswith("/run/keyring/")
    }

    assert set(created) == {
        volumes["config"]["configMap"]["name"],
        volumes["keys"]["secret"]["secretName"],
        own["envFrom"][0]["secretRef"]["name"],
    }
    assert set(re.findall(r"--from-file=(\S+)", created["keyring-keys"])) == files


def test_the_schemas_refuse_what_is_wrong() -> None:
    """The validator sees a misspelt field."""
    wrong = yaml.safe_load((DEPLOY / "kubernetes" / "cronjobs.yaml").read_text().partition("\n---")[0])
    wrong["spec"]["shedule"] = wrong["spec"]["schedule"]

    assert "shedule" in str(invalid(wrong, "1.31"))


@pytest.mark.parametrize("job", CRONJOBS, ids=lambda job: job["metadata"]["name"])
def test_pods_are_not_root_and_write_nothing(job: dict[str, Any]) -> None:
    """The restricted pod security standard, a read-only file system, and keys that only the pod's group reads."""
    spec, own = pod(job), container(job)
    keys = next(volume["secret"] for volume in spec["volumes"] if volume["name"] == "keys")

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert own["securityContext"]["readOnlyRootFilesystem"] is True
    assert own["securityContext"]["allowPrivilegeEscalation"] is False
    assert own["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert keys["defaultMode"] == 0o400
    assert job["spec"]["concurrencyPolicy"] == "Forbid"


def test_the_two_cronjobs_differ_in_what_they_do_alone() -> None:
    """Environment, volumes and security are the same in both."""
    check, run = (pod(job) | {"containers": None} for job in CRONJOBS)
    one, other = (container(job) for job in CRONJOBS)
    run.pop("terminationGracePeriodSeconds")

    assert check == run
    assert {name for name in one if one[name] != other[name]} == {"name", "command"}


def test_prometheus_takes_the_rules() -> None:
    """`promtool check rules` and `promtool test rules` pass."""
    promtool, folder = tool("promtool"), DEPLOY / "prometheus"
    for argv in (["check", "rules", "keyring.rules.yml"], ["test", "rules", "keyring.rules.test.yml"]):
        done = subprocess.run([promtool, *argv], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_metrics(tmp_path: Path) -> None:
    """`promtool check metrics` parses the file and finds nothing to blame."""
    path = tmp_path / "keyring.prom"
    write_metrics(path, Verdict.of(facts(targets=(target(nested=1, youngest={"11111111": 5}),)), Policy(), NOW))
    done = subprocess.run(
        [tool("promtool"), "check", "metrics"], input=path.read_text(), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_rules_ask_for_metrics_that_are_written(tmp_path: Path) -> None:
    """A check writes every metric in a rule, or a service shows it; every alert is in docs/reference/metrics.md."""
    path = tmp_path / "keyring.prom"
    write_metrics(path, Verdict.of(facts(), Policy(), NOW))
    written = set(re.findall(r"^(?:# HELP )?(keyring_\w+)", path.read_text() + reads_metrics(), re.MULTILINE))
    rules = yaml.safe_load((DEPLOY / "prometheus" / "keyring.rules.yml").read_text())["groups"][0]["rules"]
    documents = (DEPLOY.parent / "docs" / "reference" / "metrics.md").read_text()

    assert {name for rule in rules for name in re.findall(r"keyring_\w+", rule["expr"])} <= written
    assert all(f"| `{rule['alert']}` |" in documents for rule in rules)


def test_every_metric_is_explained(tmp_path: Path) -> None:
    """docs/reference/metrics.md has a row for each metric, and no other."""
    path = tmp_path / "keyring.prom"
    write_metrics(path, Verdict.of(facts(), Policy(), NOW))
    documents = (DEPLOY.parent / "docs" / "reference" / "metrics.md").read_text()

    assert set(re.findall(r"`(keyring_\w+)`", documents)) == set(
        re.findall(r"^# HELP (keyring_\w+)", path.read_text() + reads_metrics(), re.MULTILINE)
    )
