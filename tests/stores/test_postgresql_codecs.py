"""Arrays in PostgreSQL's binary form: the server reads them as what they were, and they leave nothing behind."""

from __future__ import annotations

import gc
import tracemalloc

import psycopg
import pytest

from rotation.stores.postgresql.codecs import bigint_array, register, text_array
from tests.databases import Database

pytestmark = pytest.mark.database


@pytest.mark.some(2)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize("numbers", [[], [0], [-1, 1], [2**63 - 1, -(2**63), 256, 7]], ids=len)
def test_the_server_reads_the_numbers(database: Database, numbers: list[int]) -> None:
    """Also negative ones, the largest ones, and none at all."""
    assert _echo(database, bigint_array(numbers)) == numbers


@pytest.mark.some(2)
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
@pytest.mark.parametrize(
    "texts", [[], ["gAAAAA=="], ["one", "two"], ["", "a", 'longer, {quoted} \\ "', "NULL"]], ids=len
)
def test_the_server_reads_the_texts(database: Database, texts: list[str]) -> None:
    """Of one length, which takes a way of its own, and of several; nothing in them is read as punctuation."""
    assert _echo(database, text_array(texts)) == texts


def test_an_array_leaves_nothing_behind() -> None:
    """However many sizes batches have, a run's memory does not grow with them."""
    bigint_array(range(10))
    gc.collect()
    tracemalloc.start()
    try:
        for rows in range(4000, 4050):
            bigint_array(range(rows))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert kept < 100_000


def _echo(database: Database, array: bytes) -> object:
    with database.engine.connect() as connection:
        driver: psycopg.Connection[tuple[object]] = connection.connection.driver_connection  # type: ignore[assignment]
        register(driver)
        return driver.execute("SELECT %s", [array]).fetchone()[0]  # type: ignore[index]
