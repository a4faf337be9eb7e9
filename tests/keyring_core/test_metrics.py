"""The reads of a process as metrics: Prometheus' own parser reads them, and a registry of its client takes them."""

from __future__ import annotations

import os
from datetime import UTC, datetime

import prometheus_client
import pytest
from freezegun import freeze_time
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from keyring_core import Key, Keyring, SuspendedKey, config, environment, get_keyring, key_set, reads_metrics
from tests.project.documents import FENCED, ROOT

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def keys(monkeypatch):
    """A primary, a previous and a suspended key, which are this process's."""
    made = [Key.generate() for _ in range(3)]
    names = ("ENCRYPTION_KEY", "ENCRYPTION_PREVIOUS_KEYS", "ENCRYPTION_SUSPENDED_KEYS")
    found = {name: key.reveal() for name, key in zip(names, made, strict=True)}
    monkeypatch.setattr(os, "environ", found)
    monkeypatch.setattr(config, "_key_sets", {})
    monkeypatch.setattr(environment, "_sets", {})
    get_keyring.reset()
    yield made
    get_keyring.reset()


def samples(text):
    return {
        (sample.name, sample.labels["key_id"], sample.labels["state"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_parser_of_prometheus_reads_every_number(keys):
    """Counts of each key, also those at zero; a time only once there was a read."""
    primary, previous, suspended = keys
    with freeze_time(NOON):
        get_keyring().decrypt_many([Keyring(previous).encrypt("x")] * 3)
        with pytest.raises(SuspendedKey):
            get_keyring().decrypt(Keyring(suspended).encrypt("x"))

    assert samples(reads_metrics()) == {
        ("keyring_key_opened_total", primary.id, "primary"): 0,
        ("keyring_key_opened_total", previous.id, "previous"): 3,
        ("keyring_key_opened_total", suspended.id, "suspended"): 0,
        ("keyring_key_last_opened_timestamp_seconds", previous.id, "previous"): NOON.timestamp(),
        ("keyring_key_refused_total", primary.id, "primary"): 0,
        ("keyring_key_refused_total", previous.id, "previous"): 0,
        ("keyring_key_refused_total", suspended.id, "suspended"): 1,
        ("keyring_key_last_refused_timestamp_seconds", suspended.id, "suspended"): NOON.timestamp(),
    }


def test_each_family_has_its_type_and_its_words(keys):
    """Counters end in `_total`, times are gauges, and the text ends with a line break, as the format wants it."""
    families = {each.name: each for each in text_string_to_metric_families(reads_metrics())}

    assert {name: family.type for name, family in families.items()} == {
        "keyring_key_opened": "counter",
        "keyring_key_last_opened_timestamp_seconds": "gauge",
        "keyring_key_refused": "counter",
        "keyring_key_last_refused_timestamp_seconds": "gauge",
    }
    assert all(family.documentation for family in families.values())
    assert reads_metrics().endswith("\n")


def test_keys_of_no_keyring_of_the_process_are_not_shown(keys):
    """A test, a script or another library may hold keys of its own."""
    other = Key.generate()
    Keyring(other).decrypt(Keyring(other).encrypt("x"))

    assert {key_id for _, key_id, _ in samples(reads_metrics())} == {key.id for key in keys}


def test_a_key_set_is_shown_once_it_is_used(keys):
    """A model that names a set reads no key; the first value does."""
    own = Key.generate()
    os.environ["BILLING_ENCRYPTION_KEY"] = own.reveal()
    billing = key_set("billing")
    before = reads_metrics()

    billing()

    assert own.id not in before
    assert samples(reads_metrics())["keyring_key_opened_total", own.id, "primary"] == 0


def test_a_key_of_two_sets_is_one_series(keys):
    """Prometheus rejects a page with one series twice."""
    os.environ["BILLING_ENCRYPTION_KEY"] = keys[1].reveal()
    key_set("billing")()

    lines = [line for line in reads_metrics().splitlines() if keys[1].id in line]

    assert lines == [
        f'keyring_key_{kind}_total{{key_id="{keys[1].id}",state="previous"}} 0' for kind in ("opened", "refused")
    ]


def test_a_process_without_keys_has_a_page_without_numbers(monkeypatch):
    """It raises nothing: the page holds the service's other metrics, too."""
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(config, "_key_sets", {})
    get_keyring.reset()

    assert samples(reads_metrics()) == {}


def test_a_registry_of_the_prometheus_client_takes_them(monkeypatch, keys):
    """The collector of the docs page gives what `reads_metrics` gives, beside the service's other metrics."""
    page = (ROOT / "docs/reference/metrics.md").read_text("utf-8")
    [code] = [found["text"] for found in FENCED.finditer(page) if "Collector" in found["text"]]
    registry = CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    exec(compile(code, "metrics.md", "exec", dont_inherit=True), {})
    get_keyring().decrypt(Keyring(keys[1]).encrypt("x"))

    assert samples(generate_latest(registry).decode()) == samples(reads_metrics())
