"""Cells of every size that a database holds: a run moves them, or names the row and the reason, and always ends."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rotation.model.batch import BATCH_BYTES, LARGEST_CELL, Swaps
from rotation.model.target import Index, Target
from rotation.stores.store import IndexValue, Store
from tests.conftest import Cli
from tests.databases import Database
from tests.processes import AT_ONCE, start
from tests.proxy import through_proxy
from tests.stores.tokens import make_token, problems, report, rotate, secrets_of

pytestmark = pytest.mark.database

PACES = {"default": (), "gentle": ("--gentle",), "full speed": ("--full-speed",)}
SIZES = {140: 40, 600: 40, 2000: 40, 12_000: 10, 100_000: 3, 1_500_000: 1}
"""Rows of each size of a token, in characters, about."""
TYPES = {
    "sqlite": ("TEXT", "BLOB", "TEXT"),
    "postgresql": ("TEXT", "BYTEA", "JSONB"),
    "mariadb": ("LONGTEXT", "LONGBLOB", "JSON"),
}
FORMS: dict[str, tuple[Callable[[str], Any], Callable[[Any], str]]] = {
    "bare": (lambda token: token, lambda cell: cell),
    "raw": (lambda token: token.encode(), lambda cell: bytes(cell).decode()),
    "doc": (
        lambda token: json.dumps({"é": [1.50, token]}),
        lambda cell: (cell if isinstance(cell, dict) else json.loads(cell))["é"][1],
    ),
    "inside": (lambda token: f"left ä {token} right", lambda cell: cell.split()[2]),
}
"""How a column holds a token, and how it is taken out again."""
CONFIG = """
[[target]]
url = "{url}"
table = "creds"
name = "whole"
columns = ["bare", "raw"]
[[target]]
url = "{url}"
table = "creds"
name = "part"
columns = ["doc", "inside"]
format = "embedded"
"""


@pytest.mark.long
@pytest.mark.some(1)
@pytest.mark.parametrize("pace", PACES)
def test_cells_of_each_size_and_form_are_rotated(database: Database, cli: Cli, pace: str, tmp_path: Path) -> None:
    """Mixed in each column: a bare token as text and as bytes, and one in JSON and in a text."""
    text, raw, document = TYPES[database.kind]
    columns = f"bare {text}, raw {raw}, doc {document}, inside {text}"
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, {columns})")
    secrets = [
        f"{size}-{number}-{'x' * (size * 3 // 4 - 80)}" for size, rows in SIZES.items() for number in range(rows)
    ]
    secrets = secrets[::2] + secrets[1::2]
    for number, secret in enumerate(secrets):
        token = make_token(secret)
        database.insert("creds", [{"id": number} | {name: make(token) for name, (make, _) in FORMS.items()}])
    (tmp_path / "rotation.toml").write_text(CONFIG.format(url=database.url))

    ran = cli("run", "--json", "--config", str(tmp_path / "rotation.toml"), *PACES[pace])

    assert (ran.code, ran.document["complete"]) == (0, True), ran.err
    assert [each["rotated"] for each in ran.document["targets"]] == [len(secrets)] * len(FORMS)
    for name, (_, take) in FORMS.items():
        cells = sorted(database.rows(f"SELECT id, {name} FROM creds"))
        assert secrets_of(take(cell) for _, cell in cells) == secrets


@pytest.mark.long
def test_a_cell_of_sixteen_megabytes_is_rotated(database: Database, cli: Cli) -> None:
    """D34: on MariaDB, old and new cell do not both fit into one message."""
    secret = "x" * 12_000_000
    database.make_creds([make_token(secret), make_token("short")], TYPES[database.kind][0])

    ran = rotate(cli, database)

    assert (ran.code, report(ran)["rotated"]) == (0, 2), ran.err
    assert secrets_of(cell for _, cell in sorted(database.column().items())) == [secret, "short"]


@pytest.mark.parametrize("form", ["bare", "raw"])
def test_a_huge_cell_that_a_service_rewrote_stays_the_service_s(database: Database, form: str) -> None:
    """R01: whether the whole cell is compared or its digest, one character makes the difference, and its case."""
    make, kind = FORMS[form][0], TYPES[database.kind][form == "raw"]
    cells = [make("x" * 2_000_000 + end) for end in ("aaa", "aab", "aaA")]
    database.make_creds(cells, kind)
    store = Store(Target(database.url, "creds", "token", "creds"), read_only=False, sleep=lambda _: None)

    written = store.write(Swaps([(1,), (2,), (3,)], [cells[0]] * 3, [make("new")] * 3))
    store.close()

    assert (written.lost, written.refused) == ({(2,), (3,)}, {})
    assert [cell for _, cell in sorted(database.column().items())] == [make("new"), *cells[1:]]


@pytest.mark.some(2)
@pytest.mark.parametrize("form", ["bare", "raw"])
def test_an_index_is_written_beside_a_huge_cell(database: Database, form: str) -> None:
    """The cell is compared as a swap compares it: nine megabytes of bytes would be eighteen in a statement."""
    make, kind = FORMS[form][0], TYPES[database.kind][form == "raw"]
    database.execute(f"CREATE TABLE creds (id INTEGER PRIMARY KEY, token {kind}, token_index VARCHAR(60))")
    cells = [make("x" * 9_000_000 + end) for end in "ab"]
    # PyMySQL, too, would send bytes as digits.
    stored = [cell.decode() if database.kind == "mariadb" and isinstance(cell, bytes) else cell for cell in cells]
    database.insert("creds", [{"id": row, "token": cell} for row, cell in enumerate(stored, 1)])
    target = Target(database.url, "creds", "token", "creds", index=Index("token_index", "creds.token"))
    store = Store(target, read_only=False, sleep=lambda _: None)

    written = store.write_indexes([IndexValue((row,), cells[0], "ours") for row in (1, 2)])
    store.close()

    assert (written.lost, written.refused) == ({(2,)}, {})
    assert sorted(database.rows("SELECT id, token_index FROM creds")) == [(1, "ours"), (2, None)]


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_a_larger_cell_is_named_and_keeps_its_key(database: Database, cli: Cli, tmp_path: Path) -> None:
    """D34: it is not read, all others are rotated, and the row and the reason are listed."""
    database.make_creds([make_token("one"), make_token("x" * LARGEST_CELL), make_token("three")])

    ran = rotate(cli, database)
    key_id = next(iter(report(ran)["under"]))
    old = next(key["id"] for key in ran.document["keys"] if key["id"] != key_id)
    retired = cli(
        *("keys", "retire", old, "--url", database.url, "--table", "creds", "--column", "token"),
        *("--archive", str(tmp_path / "archive"), "--env-file", str(tmp_path / ".env")),
    )

    assert (ran.code, report(ran)["rotated"], report(ran)["unsettled"]) == (1, 2, 1)
    assert problems(ran) == [({"id": 2}, "oversized")]
    assert "more than the 16,777,216 that are read of a cell" in report(ran)["problems"][0]["detail"]
    assert retired.code != 0


@pytest.mark.long
@pytest.mark.parametrize(
    "pace", [pytest.param(name, marks=[] if name == "full speed" else pytest.mark.long) for name in PACES]
)
def test_a_batch_is_bounded_by_what_its_cells_weigh(database: Database, cli: Cli, pace: str) -> None:
    """At each pace: what is read, planned and sent at once is some times as much, whatever the table has."""
    rows = 8 * BATCH_BYTES // 12_000
    database.make_creds([make_token("x" * 9000)] * rows)
    rotate(cli, database, "--dry-run")

    tracemalloc.start()
    ran = rotate(cli, database, *PACES[pace])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert (ran.code, report(ran)["rotated"]) == (0, rows)
    # On MariaDB the driver writes each byte as two digits.
    assert peak < 16 * BATCH_BYTES


LITTLE = """
import resource
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 50_000_000
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
"""


def test_a_lack_of_memory_names_the_row(database: Database, environ: dict[str, str], tmp_path: Path) -> None:
    """D34: the rows before it are rotated, and nothing of the program's inside is shown."""
    cells = [make_token("one"), make_token("two"), make_token("x" * 12_000_000), make_token("four")]
    database.make_creds(cells, TYPES[database.kind][0])

    with start(database, environ, tmp_path, limits=f"{LITTLE}\n{AT_ONCE}") as command:
        code, document = command.end()

    assert code == 3
    assert "not enough memory for the cell of id=3" in document["targets"][0]["stopped"]
    assert document["targets"][0]["rotated"] == 2


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_swap_larger_than_the_network_takes_at_once_arrives(
    database: Database, environ: dict[str, str], tmp_path: Path
) -> None:
    """Blocks of some megabytes: nobody waits for an answer while the server waits for the rest."""
    secrets = [f"{number:030000}" for number in range(300)]
    database.make_creds([make_token(secret) for secret in secrets])

    with (
        through_proxy(database.url, narrow=True) as proxy,
        start(replace(database, url=proxy.url), environ, tmp_path, "--gentle") as command,
    ):
        code, document = command.end()

    assert (code, document["targets"][0]["rotated"]) == (0, 300)
    assert secrets_of(cell for _, cell in sorted(database.column().items())) == secrets
