"""The image: one name wherever it is used, a clean Dockerfile, and nothing in it that does not belong there."""

from __future__ import annotations

import re
import tomllib

import yaml

from tests.project.documents import ROOT
from tests.project.programs import run_program

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
KUBERNETES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
JOBS = [job["spec"] for path in KUBERNETES for job in yaml.safe_load_all(path.read_text())]
PODS = [spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"] for spec in JOBS]
RELEASE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
NAME = f"keyring-rotate:{RELEASE}"


def test_every_job_has_the_image_that_the_dockerfile_makes() -> None:
    """One name and one version, that of this project, in a registry that has to be replaced."""
    assert {pod["containers"][0]["image"] for pod in PODS} == {f"registry.example.org/{NAME}"}
    assert {service["image"] for service in COMPOSE.values()} == {NAME, COMPOSE["database"]["image"]}
    assert f"docker build -t {NAME} ." in DOCKERFILE
    assert f'image.version="{RELEASE}"' in DOCKERFILE


def test_every_job_is_the_user_of_the_image() -> None:
    """A number, as `runAsNonRoot` needs it, that is the same in the image and in the jobs."""
    [user, group] = re.findall(r"^USER (\d+):(\d+)$", DOCKERFILE, re.MULTILINE)[0]

    assert {(pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) for pod in PODS} == {
        (int(user), int(group))
    }


def test_health_is_an_exit_code_everywhere() -> None:
    """A command that ends has no health check in the image, no probe in a job and none in compose.yaml."""
    assert "\nHEALTHCHECK NONE\n" in DOCKERFILE
    assert not any("Probe" in name for pod in PODS for name in pod["containers"][0])
    assert [name for name, service in COMPOSE.items() if "healthcheck" in service] == ["database"]


def test_the_jobs_and_the_image_start_the_same_program() -> None:
    """The program has one name."""
    assert 'ENTRYPOINT ["keyring-rotate"]' in DOCKERFILE
    assert {pod["containers"][0]["command"][0] for pod in PODS} == {"keyring-rotate"}


def test_the_dockerfile_is_clean() -> None:
    """Hadolint has nothing to say."""
    done = run_program("hadolint", str(ROOT / "Dockerfile"))

    assert done.returncode == 0, done.stdout


def test_the_image_gets_no_more_than_its_files() -> None:
    """What .dockerignore lets through is what the Dockerfile copies: never a key, a database or the history."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)

    assert "*" in ignored
    assert {line[1:] for line in ignored if line.startswith("!")} == {
        name for names in copied for name in names.split()
    }
