"""What travels to a worker is one type, all of it; nothing of a run's own process is in it."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Keyring
from keyring_core.legacy import Legacy
from rotation.configuration.key_sets import KeyPlaces, KeySet
from rotation.configuration.key_sources import KeySource
from rotation.job.options import LocalOptions, RunOptions, RunSettings
from rotation.job.pace import Speed
from rotation.job.ranges import Bounds, OpenTarget
from rotation.job.worker import Order, Task, make_order, make_task
from rotation.model.failures import UsageError
from rotation.model.key_history import History, Promotion
from rotation.model.target import Index, Target
from rotation.planning.rules import Takeover
from tests.keys import key_text, make_key

PATHS = st.none() | st.sampled_from([Path("relative"), Path("/absolute")])
NUMBERS = st.none() | st.integers(1, 100)
THEN = datetime(2026, 5, 2, tzinfo=UTC)
HISTORIES = st.sampled_from([History(), History(newer={"5f0c1a9e": Promotion(THEN, THEN)})])
KEYS = st.sampled_from([KeyPlaces(), KeyPlaces("billing", {"billing": KeySet(KeySource("$BILLING_KEY"))})])
VALUES: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("dry_run", "full_speed", "gentle", "fresh", "allow_demotion"), st.booleans()),
    **dict.fromkeys(("batch_size", "workers", "sample", "max_rate"), NUMBERS),
    **dict.fromkeys(("pause_file", "problems", "env_file"), PATHS),
    "dask": st.none() | st.just("tcp://scheduler:8786"),
    "wait_for_server": st.timedeltas(timedelta(), timedelta(days=1)),
    "shard": st.none() | st.just("0/3"),
    "history": HISTORIES,
    "keys": KEYS,
}
"""Values of each field of RunOptions: a new field needs a line here, and so a thought of whether it may travel."""
SECRETS = ("correct horse battery staple 99", key_text("new"), key_text("old"))


@given(st.fixed_dictionaries(VALUES))
def test_every_option_of_a_run_survives_the_way_to_a_worker(values: dict[str, Any]) -> None:
    """All fields are equal on the other side."""
    options = RunOptions(**values)

    assert {field.name for field in fields(RunOptions)} == {*VALUES}
    assert pickle.loads(pickle.dumps(options)) == options


def test_no_secret_of_this_process_is_sent(keyring: Keyring) -> None:
    """A worker gets the names of variables: neither the environment, nor other keys, nor a reader with its keys."""
    source = Legacy("advanced-alchemy", secret="$OLD_SECRET")
    target = Target("sqlite:///app.db", "creds", "token", "creds", source=source, index=Index("i", "creds.token"))
    environ = {"OLD_SECRET": SECRETS[0], "ENCRYPTION_KEY": SECRETS[1]}
    others = [("another", Keyring(make_key("old")))]
    local, takeover = LocalOptions(environ=environ, others=others), Takeover.of(target, environ)
    opened: Any = OpenTarget(target, None, keyring, RunOptions(), local, takeover)  # type: ignore[arg-type]

    sent = pickle.dumps(make_task(make_order(keyring, RunOptions()), target, "", Bounds()))

    assert takeover.reader
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(opened)
    assert b"OLD_SECRET" in sent
    assert not any(secret.encode() in sent for secret in SECRETS)
    assert pickle.loads(sent).target.source == source


@pytest.mark.parametrize("name", [field.name for field in fields(LocalOptions)])
def test_what_is_local_cannot_be_sent(keyring: Keyring, name: str) -> None:
    """Whatever is in it, wherever it is put: to pickle it is an error, and not a leak."""
    local = replace(LocalOptions(), **{name: SECRETS[0]})  # type: ignore[arg-type]
    order = make_order(keyring, replace(RunOptions(), history=local))  # type: ignore[arg-type]

    for value in (local, order):
        with pytest.raises(TypeError, match="stay in it"):
            pickle.dumps(value)


def test_a_task_has_no_place_for_what_is_local() -> None:
    """By the types of its fields."""
    hints = {**get_type_hints(Task), **get_type_hints(Order), **get_type_hints(RunOptions)}

    assert LocalOptions not in hints.values()


def test_workers_share_the_rate() -> None:
    """R22: each of four is sent its quarter of --max-rate."""
    assert RunOptions(max_rate=2000).shared(4).max_rate == 500
    assert RunOptions().shared(4).max_rate is None


def test_files_are_found_from_another_folder(keyring: Keyring) -> None:
    """A worker may have another current folder."""
    options = make_order(keyring, RunOptions(pause_file=Path("pause"), env_file=Path(".env"))).options

    assert (options.pause_file, options.env_file) == (Path.cwd() / "pause", Path.cwd() / ".env")


def test_a_dry_run_keeps_nobody_waiting() -> None:
    """R22: it only reads; two paces at once are refused even then."""
    assert RunSettings(dry_run=True, gentle=True).speed is Speed.FULL
    assert RunSettings(gentle=True).speed is Speed.GENTLE
    with pytest.raises(UsageError, match="exclude each other"):
        _ = RunSettings(dry_run=True, gentle=True, full_speed=True).speed
