"""The image: one name wherever it is used, a clean Dockerfile, and nothing in it that does not belong there."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.project.documents import ROOT
from tests.project.programs import run_program

DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
KUBERNETES = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
JOBS = [job["spec"] for path in KUBERNETES for job in yaml.safe_load_all(path.read_text())]
PODS = [spec.get("jobTemplate", {"spec": spec})["spec"]["template"]["spec"] for spec in JOBS]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RELEASE = PYPROJECT["project"]["version"]
NAME = f"keyring-rotate:{RELEASE}"
EXTRAS = re.findall(r"\[([\w,]+)\]\"$", DOCKERFILE, re.MULTILINE)[0].split(",")
LOCKS = {
    "install.txt": PYPROJECT["project"]["dependencies"]
    + [each for extra in EXTRAS for each in PYPROJECT["project"]["optional-dependencies"][extra]],
    "build.txt": PYPROJECT["build-system"]["requires"],
}
"""Files of deploy/image, with the requirements that .ci/lock makes each of."""


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


def locked(name: str) -> dict[str, tuple[str, str]]:
    """The packages in a lock file: version, and what follows it up to the next package."""
    text = (ROOT / "deploy" / "image" / name).read_text()
    pins = re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n .*)*)", text, re.MULTILINE)
    return {canonicalize_name(package): (version, rest) for package, version, rest in pins}


@pytest.mark.parametrize(("name", "wanted"), LOCKS.items(), ids=LOCKS)
def test_a_lock_has_what_pyproject_asks_for(name: str, wanted: list[str]) -> None:
    """Each requirement is there, in a version that it allows; every other package is there because of one of these."""
    pins, requirements = locked(name), [Requirement(each) for each in wanted]
    asked = {canonicalize_name(requirement.name) for requirement in requirements}

    for requirement in requirements:
        version, _ = pins[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement}: {version} is locked; run .ci/lock"
    for package, (_, rest) in pins.items():
        reasons = {word.strip() for word in rest.partition("# via ")[2].split(",")} - {
            "keyring-core (pyproject.toml)",
            "",
        }
        assert package in asked or reasons & set(pins), f"{package}: nothing needs it; run .ci/lock"


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_a_hash_of_every_package_and_no_address(name: str) -> None:
    """Each line is a package at one version, a hash or the reason: an index, a host or a url has no place."""
    text = (ROOT / "deploy" / "image" / name).read_text()
    kinds = (
        r"[a-z0-9.-]+==[a-z0-9.]+( ; [^/:]+)? \\",
        r" {4}--hash=sha256:[0-9a-f]{64}( \\)?",
        r" {4}# via [a-z0-9., -]+( \(pyproject\.toml\))?",
    )

    assert all("--hash=sha256:" in rest for _, rest in locked(name).values())
    assert not [line for line in text.splitlines() if not any(re.fullmatch(kind, line) for kind in kinds)]


def test_the_image_installs_by_hash_alone() -> None:
    """Both locks are asked for with their hashes; the project's own wheel comes without an index."""
    installs = re.findall(r"pip (?:--python \S+ )?(?:install|wheel) .*", DOCKERFILE)

    assert len(installs) == len(LOCKS) + 2
    for line in installs:
        assert "--no-index" in line or re.search(r"--require-hashes --requirement deploy/image/\w+\.txt", line)
