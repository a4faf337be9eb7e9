"""Any table, any keys, any batch size: every plaintext stays, and the counts add up."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyring_core import InvalidToken, Keyring
from rotation.job.loop import rotate
from rotation.job.options import RunOptions
from rotation.model.report import TargetReport
from rotation.model.target import Target
from rotation.stores.store import Store
from tests.fakes import Silence
from tests.keys import key_text

pytestmark = pytest.mark.database

LABELS = ["new", "old", "older", "staged", "unknown"]


def _token(label: str, secret: bytes, issued_at: int) -> str:
    return Fernet(key_text(label)).encrypt_at_time(secret, issued_at).decode()


tokens = st.builds(_token, st.sampled_from(LABELS), st.binary(max_size=40), st.integers(0, 2**64 - 1))
cells = st.one_of(
    tokens,
    tokens.map(str.encode),
    st.tuples(tokens, tokens).map("".join),
    st.tuples(tokens, st.integers(1, 120)).map(lambda pair: pair[0][: pair[1]]),
    tokens.map(lambda token: f"b'{token}'"),
    tokens.map(lambda token: f" {token}\n"),
    tokens.map(lambda token: token.encode().hex()),
    tokens.map(lambda token: f'{{"token": "{token}"}}'),
    st.builds(_token, st.sampled_from(LABELS), tokens.map(str.encode), st.just(0)),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=60, max_size=90),
    st.sampled_from([None, "", b"", "hunter2", 7, 1.5]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=30),
    st.binary(max_size=30),
)
keyrings = st.builds(
    lambda primary, previous, staged: Keyring(
        key_text(primary),
        previous=[key_text(label) for label in previous if label != primary],
        staged=key_text("staged") if staged and "staged" not in (primary, *previous) else None,
    ),
    st.sampled_from(LABELS),
    st.lists(st.sampled_from(LABELS[:4]), unique=True),
    st.booleans(),
)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("properties") / "app.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE creds (id INTEGER PRIMARY KEY, token)")
    return path


@settings(settings.get_profile("slowest"), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(cells, max_size=25), keyrings, st.integers(1, 30))
def test_every_plaintext_stays_and_the_counts_add_up(
    app: Path, values: list[Any], keyring: Keyring, batch_rows: int
) -> None:
    """What opened before opens to the same plaintext with the same time; all else is byte for byte what it was."""
    _fill(app, values)
    first = _run(app, keyring, batch_rows)
    after = _stored(app)
    second = _run(app, keyring, batch_rows)

    assert [_content(keyring, cell) for cell in after] == [_content(keyring, cell) for cell in values]
    stays = [number for number, cell in enumerate(values) if not _needs_rotation(keyring, cell)]
    assert [after[number] for number in stays] == [values[number] for number in stays]
    assert _stored(app) == after
    if first.stopped is None:
        assert not any(_needs_rotation(keyring, cell) for cell in after)
        assert first.counts.rotated == len(values) - len(stays)
        assert second.counts.rotated == 0
    for report in (first, second):
        counts = report.counts
        parts = (counts.current, counts.rotated, counts.empty, counts.plaintext, counts.unreadable, counts.unsettled)
        # A run that stops since most tokens do not open writes none of those that it would rotate.
        assert counts.scanned == sum(parts) + counts.to_rotate
        assert report.stopped or not counts.to_rotate
        assert counts.scanned + counts.null == len(values)
        assert counts.suspects <= counts.plaintext
        assert counts.categories.total() == counts.plaintext + counts.unreadable + counts.unsettled + counts.nested


def _fill(app: Path, values: list[Any]) -> None:
    with closing(sqlite3.connect(app)) as connection, connection:
        connection.execute("DELETE FROM creds")
        connection.executemany("INSERT INTO creds (token) VALUES (?)", [(value,) for value in values])


def _stored(app: Path) -> list[Any]:
    with closing(sqlite3.connect(app)) as connection:
        return [cell for (cell,) in connection.execute("SELECT token FROM creds ORDER BY id")]


def _run(app: Path, keyring: Keyring, batch_rows: int) -> TargetReport:
    target = Target(f"sqlite:///{app}", "creds", "token", "creds")

    def open_store(target: Target) -> Store:
        return Store(target, read_only=False, sleep=lambda _: None)

    return rotate([target], keyring, open_store, RunOptions(batch_size=batch_rows), Silence()).targets[0]


def _content(keyring: Keyring, cell: Any) -> object:
    """Plaintext and time of what opens; of all else the cell itself."""
    try:
        stock = keyring.multi_fernet
        plain = keyring.decrypt_bytes(cell)
        return plain, stock.extract_timestamp(cell.strip())
    except (InvalidToken, TypeError):
        return cell


def _needs_rotation(keyring: Keyring, cell: Any) -> bool:
    try:
        return keyring.states[keyring.key_for(cell)] == "previous"
    except (InvalidToken, TypeError):
        return False
