"""keys retire: what the ledger last knew of a place must be explained by a run, or the key stays."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from tests.conftest import Ran
from tests.databases import Database
from tests.lifecycle.shop import OLDER, Shop, old_token, refusals

pytestmark = pytest.mark.database
TOKENS = 3


@pytest.fixture
def known(database: Database, tmp_path: Path) -> Shop:
    """A shop whose ledger knows of tokens under the older key."""
    shop = Shop(tmp_path, database)
    shop.fill([old_token("older")] * TOKENS)
    assert shop.rotate("status").code == 1
    return shop


def retire(shop: Shop, *argv: str) -> Ran:
    return shop.keys("retire", OLDER.id, "--no-archive", "--json", *argv)


def unexplained(ran: Ran) -> list[str]:
    return [reason for reason in refusals(ran) if "the ledger knows of" in reason]


def replace_table(shop: Shop, cells: list[object]) -> None:
    """As if another database answered: the same names, another table; on SQLite another file."""
    if shop.database.kind == "sqlite":
        path = Path(shop.database.url.removeprefix("sqlite:///"))
        shop.database.engine.dispose()
        shutil.move(path, path.with_suffix(".old"))
        path.touch()
    else:
        # MariaDB dates a table to the second.
        time.sleep(1.1)
        shop.database.execute("DROP TABLE creds")
    shop.fill(cells)


def test_an_emptied_table_proves_nothing_until_a_run(known: Shop) -> None:
    """The tokens are gone, and nobody has moved them: refused with their number; a run on that table explains it."""
    known.database.execute("DELETE FROM creds")
    ran = retire(known)

    [reason] = unexplained(ran)
    assert (ran.code, f"the ledger knows of {TOKENS} tokens under {OLDER.id} there" in reason) == (1, True)
    assert len(unexplained(retire(known))) == 1, "its own census explains nothing"
    assert known.rotate("status").code == 0
    assert len(unexplained(retire(known))) == 1, "nor does a look"
    assert known.rotate("run").code == 0
    assert retire(known).code == 0


def test_another_database_behind_the_url_proves_nothing(known: Shop) -> None:
    """Fresh and empty, under the same names: even a run there explains no missing token."""
    replace_table(known, [])
    assert len(unexplained(retire(known))) == 1
    for _ in range(2):
        assert known.rotate("run").code == 0

    assert len(unexplained(retire(known))) == 1
    assert retire(known, "--force", OLDER.id).document["certificate"]["forced"] is True


def test_a_restored_copy_is_explained_by_a_run_that_finds_the_tokens(known: Shop) -> None:
    """A migration to another server: what was known is there again, and was moved."""
    replace_table(known, [old_token("older")] * TOKENS)
    assert known.rotate("run").code == 0

    assert retire(known).code == 0


def test_a_column_that_is_no_target_any_more_is_asked_for(known: Shop) -> None:
    """Its tokens are still there, as far as anybody knows: a run on another column explains nothing."""
    known.database.execute("ALTER TABLE creds ADD COLUMN other TEXT")
    known.config.write_text(known.config.read_text().replace('"token"', '"other"'))
    known.database.execute("UPDATE creds SET token = NULL")
    assert known.rotate("run").code == 0

    [reason] = unexplained(retire(known))
    assert reason.startswith("creds.token in ")


def test_the_census_of_a_retirement_becomes_the_last_one(known: Shop) -> None:
    """Also if it is refused: keys list shows what is there now."""
    known.database.execute("DELETE FROM creds WHERE id > 1")
    assert retire(known).code == 1

    listed = {key["id"]: key for key in known.keys("list", "--json").document["keys"]}
    assert (listed[OLDER.id]["tokens"], listed[OLDER.id]["standing"]) == (1, "needed")
