"""The Indexed Job of deploy/: Kubernetes takes it, and its pods together are all shards."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rotation.stores.row_keys import Shard
from tests.project.kubernetes import invalid

JOB = yaml.safe_load((Path(__file__).parents[2] / "deploy" / "kubernetes" / "shards.yaml").read_text())
POD = JOB["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]


@pytest.mark.parametrize("version", ["1.31", "1.35"])
def test_kubernetes_takes_the_indexed_job(version: str) -> None:
    """Valid against Kubernetes' own schemas, and no field that they do not know."""
    assert invalid(JOB, version) is None


def test_its_pods_are_all_shards() -> None:
    """As many completions as the option says shards, from 0 on."""
    words = CONTAINER["command"]
    shard = words[words.index("--shard") + 1]

    shards = {Shard.parse(shard.replace("$(SHARD)", str(index))) for index in range(JOB["spec"]["completions"])}

    assert {each.index for each in shards} == set(range(shards.pop().count))


def test_only_what_may_pass_is_tried_again() -> None:
    """Exit codes 1 and 2 fail the index at once; 3 is tried again."""
    [codes] = [rule["onExitCodes"] for rule in JOB["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule]

    assert (codes["containerName"], codes["values"]) == (CONTAINER["name"], [1, 2])


def test_its_pods_are_not_root_and_write_nothing() -> None:
    """The restricted pod security standard, a read-only file system, keys as files that only the group reads."""
    assert POD["securityContext"]["runAsNonRoot"]
    assert CONTAINER["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert all(mount["readOnly"] for mount in CONTAINER["volumeMounts"])
    assert [volume["secret"]["defaultMode"] for volume in POD["volumes"] if "secret" in volume] == [0o440]
    assert not any("value" in each for each in CONTAINER["env"] if each["name"] in {"ENCRYPTION_KEY", "DATABASE_URL"})
