"""Independent runs share a table: every row belongs to exactly one of them."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import make_url

from rotation.model.failures import UsageError
from rotation.model.target import Target
from rotation.stores.columns import BLOCK_BITS, Shard
from rotation.stores.store import Store
from tests.conftest import Cli, Named
from tests.databases import Database
from tests.fakes import token

pytestmark = pytest.mark.database

OLD = token("old")
BLOCK = 1 << BLOCK_BITS

KEYS = {
    "numbers in a row": ("BIGINT", [(n,) for n in range(1, 301)]),
    "numbers in blocks": ("BIGINT", [(block * BLOCK + n,) for block in range(-9, 9) for n in (0, 1, BLOCK - 1)]),
    "numbers far apart": ("BIGINT", [(n * 4_194_304_007,) for n in range(-60, 60)]),
    "text": ("VARCHAR(20)", [(f"Key {n:x} é",) for n in range(150)]),
    "uuid": ("VARCHAR(36)", [(str(uuid.UUID(int=n * 7**40 % 2**128)),) for n in range(1, 150)]),
}


@pytest.mark.some(1)
def test_shards_cover_every_row_once(database: Database, cli: Cli, named: Named) -> None:
    """0/3, 1/3 and 2/3 together rotate every row once, and each rotates a part."""
    for number, (name, (kind, keys)) in enumerate(KEYS.items()):
        with named(name):
            table = f"creds{number}"
            database.execute(f"CREATE TABLE {table} (id {kind} PRIMARY KEY, token TEXT)")
            database.insert(table, [{"id": key, "token": OLD} for (key,) in keys])
            documents = [_run(cli, database, f"{index}/3", table) for index in range(3)]

            rotated = [document["targets"][0]["rotated"] for document in documents]
            assert sum(rotated) == len(keys)
            assert [document["targets"][0]["scanned"] for document in documents] == rotated
            assert min(rotated) > 0 or kind == "BIGINT"
            ends = [(document["complete"], document["shard"]) for document in documents]
            assert ends == [(True, f"{n}/3") for n in range(3)]
            assert OLD not in database.column(table).values()


@pytest.mark.some(3)
@pytest.mark.parametrize("kind", ["INTEGER", "VARCHAR(9)"])
def test_a_row_without_a_key_is_reported_by_one_shard(database: Database, cli: Cli, kind: str) -> None:
    """D12: such rows are in no shard, so one of the runs is not complete."""
    database.execute(f"CREATE TABLE creds (id {kind} UNIQUE, token TEXT)")
    database.insert("creds", [{"id": n if n < 6 else None, "token": OLD} for n in range(12)])
    target = ["--url", database.url, "--table", "creds", "--column", "token", "--key-column", "id"]
    documents = [cli("run", *target, "--shard", f"{index}/3", "--json").document for index in range(3)]

    assert [document["targets"][0]["unsettled"] for document in documents] == [6, 0, 0]
    assert [document["complete"] for document in documents] == [False, True, True]
    assert sum(document["targets"][0]["rotated"] for document in documents) == 6


def test_shards_of_a_composite_key(database: Database, cli: Cli) -> None:
    """All columns of the key count, so the rows of one large tenant are divided too."""
    database.execute("CREATE TABLE creds (tenant INTEGER, id VARCHAR(9), token TEXT, PRIMARY KEY (tenant, id))")
    database.insert("creds", [{"tenant": n // 100, "id": f"k{n}", "token": OLD} for n in range(200)])

    rotated = [_run(cli, database, f"{index}/3")["targets"][0]["rotated"] for index in range(3)]

    assert sum(rotated) == 200
    assert min(rotated) > 40


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_shards_of_a_native_uuid(database: Database, cli: Cli) -> None:
    """PostgreSQL's own type."""
    database.execute("CREATE TABLE creds (id UUID PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": uuid.UUID(int=n * 7**40 % 2**128), "token": OLD} for n in range(1, 100)])

    rotated = [_run(cli, database, f"{index}/3")["targets"][0]["rotated"] for index in range(3)]

    assert sum(rotated) == 99
    assert min(rotated) > 15


@pytest.mark.some(2)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "keys"),
    [
        ("TIMESTAMPTZ", [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=n) for n in range(100)]),
        ("DATE", [date(2026, 1, 1) + timedelta(days=n) for n in range(100)]),
        ("BYTEA", [bytes([n, n]) for n in range(100)]),
        ("TIME", [time(n // 60, n % 60) for n in range(100)]),
        ("INTERVAL", [timedelta(days=n, hours=n) for n in range(1, 101)]),
    ],
    ids=["timestamptz", "date", "bytea", "time", "interval"],
)
def test_a_sessions_settings_move_no_row_to_another_shard(database: Database, kind: str, keys: list[Any]) -> None:
    """Runs whose sessions format times and bytes in different ways still divide the rows exactly."""
    database.execute(f"CREATE TABLE creds (id {kind} PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": key, "token": OLD} for key in keys])
    elsewhere = "-cTimeZone=Asia/Tokyo -cDateStyle=German -cbytea_output=escape"
    url = make_url(database.url)
    odd = url.update_query_dict({"options": f"{url.query['options']} {elsewhere}"})
    shards = [(database.url, 0), (odd.render_as_string(hide_password=False), 1), (database.url, 2)]

    found = [key for url, index in shards for key in _read(url, Shard(index, 3), 1000)]

    assert sorted(found) == keys


@pytest.mark.some(1)
def test_a_shard_is_read_in_batches_of_any_size(database: Database, named: Named) -> None:
    """Reading block by block returns every row once, in the order of the keys."""
    kind, keys = KEYS["numbers in blocks"]
    database.execute(f"CREATE TABLE creds (id {kind} PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": key, "token": OLD} for (key,) in keys])
    for limit in (1, 2, 7, 1000):
        with named(f"{limit}"):
            found = [_read(database.url, Shard(index, 4), limit) for index in range(4)]

            assert all(part == sorted(part) for part in found)
            assert sorted(key for part in found for key in part) == sorted(key for (key,) in keys)


@pytest.mark.parametrize("database", ["mariadb"], indirect=True)
def test_blocks_do_not_depend_on_how_the_server_divides(database: Database) -> None:
    """A server that truncates quotients (div_precision_increment) would put negative keys into the next block."""
    _, keys = KEYS["numbers in blocks"]
    database.execute("CREATE TABLE creds (id BIGINT PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": key, "token": OLD} for (key,) in keys])
    rounding = sa.make_url(database.url).update_query_dict({"init_command": "SET div_precision_increment = 0"})
    database.url = rounding.render_as_string(hide_password=False)

    found = [key for index in range(4) for key in _read(database.url, Shard(index, 4), 2)]

    assert sorted(found) == sorted(key for (key,) in keys)


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_shard_with_heavy_rows_leaves_out_none(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that ends early because of its size leaves the rest of its block for the next read."""
    monkeypatch.setattr("rotation.stores.reader.BATCH_BYTES", 1000)
    database.execute("CREATE TABLE creds (id BIGINT PRIMARY KEY, token TEXT)")
    database.insert("creds", [{"id": n, "token": "x" * 400} for n in range(20)])

    assert _read(database.url, Shard(0, 4), 100) == list(range(20))


@given(st.integers(-(2**40), 2**40), st.integers(1, 70), st.integers(0, 10**6))
def test_a_jump_leaves_out_no_key_of_the_shard(key: int, count: int, index: int) -> None:
    """The next block belongs to the shard, and no block of the shard is between it and *key*."""
    shard = Shard(index % count, count)

    start, end = shard.block_behind(key)

    assert key <= start < end
    assert (end >> BLOCK_BITS) % count == (start + 1 >> BLOCK_BITS) % count == shard.index
    between = range((key + 1) >> BLOCK_BITS, end >> BLOCK_BITS)
    assert all(block % count != shard.index for block in between)


@pytest.mark.parametrize("text", ["", "3", "3/3", "-1/3", "1/0", "a/b", "1/3/5", "1/99999", "1 / 3"])
def test_an_invalid_shard_is_refused(cli: Cli, text: str) -> None:
    """Exit code 2, and an example."""
    ran = cli("run", "--url", "sqlite:///nowhere.db", "--table", "creds", "--column", "token", "--shard", text or "/")

    assert ran.code == 2
    assert "such as 0/3" in ran.err
    with pytest.raises(UsageError):
        Shard.parse(text)


def _run(cli: Cli, database: Database, shard: str, table: str = "creds") -> dict[str, Any]:
    target = ["--url", database.url, "--table", table, "--column", "token"]
    ran = cli("run", *target, "--shard", shard, "--json", "--batch-size", "20")
    assert ran.code == 0, ran.out + ran.err
    return ran.document


def _read(url: str, shard: Shard, limit: int) -> list[Any]:
    target = Target(url, "creds", "token", "creds")
    store = Store(target, read_only=True, sleep=lambda _: None, shard=shard)
    keys: list[Any] = []
    after = None
    while found := store.read(after, None, limit).keys:
        keys += [key[0] for key in found]
        after = found[-1]
    store.close()
    return keys
