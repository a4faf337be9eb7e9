"""`adopt` on real databases, through the command line: plaintext cells become tokens, and nothing else changes."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from keyring_core import Keyring
from rotation.job.loop import rotate
from rotation.job.options import LocalOptions, RunOptions
from rotation.ledger.ledger import Ledger
from rotation.model.failures import StoreError
from rotation.model.target import Adopts, Target
from rotation.stores.store import Store
from tests.conftest import Cli, Ran
from tests.databases import Database, open_database
from tests.fakes import Silence, token
from tests.hiding.dresses import DRESSES, Tokens
from tests.keys import key_text, make_key
from tests.stores.tokens import problems, report

pytestmark = pytest.mark.database

KEYRING = Keyring(make_key("new"), previous=[make_key("old"), make_key("older")])
FOREIGN = Tokens(make_key("nobody"), make_key("new"), make_key("elsewhere"))
PLAIN = [
    "hunter2",
    "a, b; 'c' \"d\" \\e \\\\ %s %(x)s :name $1 ? {0}",
    "first line\nsecond\r\n\tthird ",
    "Grüße 世界 🔑 \U0001f468\u200d\U0001f469",
    "\x01\x1b[0m\x7f",
    '{"json": [1, null, "it\'s"]}',
    "NULL",
    "  blanks around  ",
    "sk-live-" + "0123456789 " * 40,
]
DRESSED = {
    name: FOREIGN_CELL
    for name in (
        *("bytes-repr", "quoted", "glued-behind-foreign", "trailing-garbage", "hex", "hex-bytea", "hex-of-decoded"),
        *("base64", "base64-twice", "json-value", "url-query", "prefix-glued", "csv", "yaml"),
    )
    if isinstance(FOREIGN_CELL := DRESSES[name](FOREIGN), str)
}
STAYING = [*DRESSED.values(), token("nobody"), token("nobody")[:70], token("nobody").encode().hex()[:70]]


@pytest.fixture
def adopt(database: Database, cli: Cli) -> Callable[..., Ran]:
    """The command on creds.token; nothing of a cell is ever shown."""

    def run(*options: str, command: str = "adopt", **more: Any) -> Ran:
        ran = cli(command, "--url", database.url, "--table", "creds", "--column", "token", *options, **more)
        assert not [
            text for text in ("hunter2", "gAAAAA", "0123456789 0", key_text("new")[:9]) if text in ran.out + ran.err
        ]
        return ran

    return run


def opened(cells: Mapping[Any, Any], keyring: Keyring = KEYRING) -> list[str]:
    """What the tokens hold, in the order of their rows."""
    return [keyring.decrypt(cell) for _, cell in sorted(cells.items())]


def test_a_look_writes_nothing_and_then_plaintext_becomes_tokens(database: Database, adopt: Callable[..., Ran]) -> None:
    """Text of every kind comes back to the letter; tokens move, and every cell that may be a token stays as it is."""
    # More tokens that open than such that do not: otherwise a key seems to be missing.
    cells = [*PLAIN, *STAYING, token("old", "old one"), token("new", "new one"), None, "", *[token("new")] * 20]
    database.make_creds(cells)
    before = database.column()

    looked, dry = adopt("--json"), adopt("--yes", "--dry-run", "--json")
    shown = adopt()

    assert database.column() == before
    for ran in (looked, dry):
        found = report(ran)
        assert (ran.code, ran.document["dry_run"], found["to_rotate"], found["taken_over"]) == (1, True, 10, 9)
        assert (found["plaintext"], found["unreadable"], len(found["samples"])) == (0, len(STAYING), 5)
        assert found["samples"][0] == {"key": {"id": 1}, "holds": "7 characters: lowercase letters, digits"}
    assert "9 cells are to become tokens" in shown.out
    assert "creds.token, id=1: 7 characters: lowercase letters, digits" in shown.out
    assert "\nNext: keyring-rotate adopt --yes --url " in shown.out

    ran = adopt("--yes", "--json")

    after, found = database.column(), report(ran)
    assert (ran.code, found["rotated"], found["taken_over"], found["current"]) == (1, 10, 9, 21)
    assert opened({row: after[row] for row in range(1, len(PLAIN) + 1)}) == PLAIN
    stay = range(len(PLAIN) + 1, len(PLAIN) + len(STAYING) + 1)
    assert [after[row] for row in stay] == STAYING
    assert {key["id"] for key, _ in problems(ran)} == set(stay)
    rest = [after[row] for row in range(max(stay) + 1, max(stay) + 5)]
    assert [KEYRING.decrypt(cell) if cell else cell for cell in rest] == ["old one", "new one", None, ""]
    assert database.column("creds", "note") == {row: f"note {row}" for row in range(1, len(cells) + 1)}

    again = adopt("--yes", "--json")
    assert (report(again)["rotated"], report(again)["taken_over"], database.column()) == (0, 0, after)


BINARY = {"sqlite": "BLOB", "postgresql": "BYTEA", "mariadb": "BLOB"}


@pytest.mark.parametrize("random", [False, True])
def test_bytes_become_tokens_of_bytes(database: Database, adopt: Callable[..., Ran], random: bool) -> None:
    """Text in a column of bytes; other bytes look random, and need --accept-random."""
    raw = bytes(range(256))
    cells = [b"hunter2", "Grüße".encode(), raw, token("old").encode(), DRESSES["decoded"](FOREIGN), b"\xff"]
    database.make_creds(cells, BINARY[database.kind])

    ran = adopt("--yes", "--json", *(["--accept-random"] if random else []))

    after = [bytes(cell) for _, cell in sorted(database.column().items())]
    taken = {0: b"hunter2", 1: "Grüße".encode(), 3: b"secret", **({2: raw, 5: b"\xff"} if random else {})}
    assert report(ran)["rotated"] == len(taken)
    for place, cell in enumerate(cells):
        assert KEYRING.decrypt_bytes(after[place]) == taken[place] if place in taken else after[place] == cell


NARROW = {
    "VARCHAR(119)": ("x" * 16, 120),
    "TINYTEXT": ("x" * 144, 292),
    "TEXT": ("x" * 49_088, 65_548),
    "VARBINARY(119)": ("x" * 16, 120),
    "CHAR(99)": ("x", 100),
}
"""A cell whose token is a little too long, and the length of that."""


@pytest.mark.some(2)
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.only_on("mariadb", *(["postgresql"] if "CHAR" in kind else [])))
        for kind in NARROW
    ],
)
def test_a_narrow_column_stops_before_the_first_write(database: Database, adopt: Callable[..., Ran], kind: str) -> None:
    """Before a single cell is written; a look says it as a note. Some types are MariaDB's; SQLite bounds nothing."""
    cell, needed = NARROW[kind]
    database.make_creds(["short", cell, *([] if "99" in kind else [token("old")])], kind)
    before = database.column()

    ran, looked = adopt("--yes"), adopt("--json")

    assert ran.code == 2
    assert "Nothing was written" in ran.err
    # PostgreSQL fills a cell of CHAR up with blanks.
    assert f"needs up to {228 if (database.kind, kind) == ('postgresql', 'CHAR(99)') else needed}" in ran.err
    assert looked.code == 1
    assert any("Widen the column first" in words for words in report(looked)["warnings"])
    assert database.column() == before


WIDE = {
    "VARCHAR(120)": "x" * 16,
    "TINYTEXT": "x" * 111,
    "TEXT": "x" * 49_071,
    "MEDIUMTEXT": "x" * 70_000,
    "CHAR(100)": "x",
}
BUT_THERE = ("MEDIUMTEXT", "CHAR(100)")


@pytest.mark.parametrize(
    "kind",
    [
        # PostgreSQL has no such type, and there a cell of CHAR is as long as its column.
        pytest.param(kind, marks=pytest.mark.only_on("sqlite", "mariadb") if kind in BUT_THERE else ())
        for kind in WIDE
    ],
)
def test_a_column_that_is_just_wide_enough_takes_the_tokens(
    database: Database, adopt: Callable[..., Ran], kind: str
) -> None:
    """The bound is exact: the longest token fits to the last character."""
    cell = WIDE[kind]
    if kind == "TINYTEXT" and database.kind == "postgresql":
        kind = "VARCHAR(248)"
    database.make_creds([cell, "short"], kind)

    ran = adopt("--yes", "--json")

    assert (ran.code, report(ran)["rotated"]) == (0, 2)
    assert opened(database.column()) == [cell, "short"]


def test_tokens_are_bound_to_the_context(database: Database, adopt: Callable[..., Ran]) -> None:
    """As those that the services write; `where` bounds which rows are read at all."""
    database.make_creds(["one", "two", token("old", "three"), "four"])

    ran = adopt("--yes", "--json", "--context", "creds.token", "--where", "id <> 2")

    strict = Keyring(make_key("new")).bind("creds.token")
    cells = database.column()
    assert (ran.code, report(ran)["scanned"], report(ran)["rotated"], cells.pop(2)) == (0, 3, 3, "two")
    assert opened(cells, strict) == ["one", "three", "four"]


def test_an_interrupted_run_goes_on(database: Database, adopt: Callable[..., Ran], tmp_path: Path) -> None:
    """What is done stays done, and is not encrypted once more."""
    database.make_creds([f"secret {row}" for row in range(60)])

    def stop(_seconds: float) -> None:
        if "gAAAAA" in str(database.column()):
            raise KeyboardInterrupt

    target = Target(database.url, "creds", "token", "creds", adopts=Adopts.PLAINTEXT)
    store = Store(target, read_only=False, sleep=lambda _: None)
    with pytest.raises(KeyboardInterrupt):
        rotate([target], KEYRING, lambda _: store, RunOptions(batch_size=10), Silence(), local=LocalOptions(stop))
    begun = sum(cell.startswith("gAAAAA") for cell in database.column().values())
    assert 0 < begun < 60

    ran = adopt("--yes", "--json")

    assert (ran.code, report(ran)["current"], report(ran)["rotated"]) == (0, begun, 60 - begun)
    assert opened(database.column()) == [f"secret {row}" for row in range(60)]


THEIRS = {
    "plaintext": ("write", "new plaintext"),
    "token": ("write", token("new")),
    "old token": ("write", token("old")),
    "null": ("write", None),
    "empty": ("write", ""),
    # On PostgreSQL the proof finds it, elsewhere the second pass; the cell that was written twice counts twice.
    "plaintext behind the pass": ("keyless", "new plaintext"),
}
"""Per name before which step of the store a service writes, and what."""


@pytest.mark.some(2)
@pytest.mark.parametrize(("step", "theirs"), THEIRS.values(), ids=THEIRS)
def test_a_service_that_writes_meanwhile_wins(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: str, theirs: str | None
) -> None:
    """Compare and swap: between a read and its write; the next pass takes what is left of it to do."""
    database.make_creds([*(f"secret {row}" for row in range(1, 31)), token("new")])
    update, real = ["UPDATE creds SET token = :token WHERE id = 7"], getattr(Store, step)

    def interrupted(*given: Any, **more: Any) -> Any:
        while update:
            database.execute(update.pop(), token=theirs)
        return real(*given, **more)

    monkeypatch.setattr(Store, step, interrupted)
    target = Target(database.url, "creds", "token", "creds", adopts=Adopts.PLAINTEXT)
    store = Store(target, read_only=False, sleep=lambda _: None)
    [done] = rotate([target], KEYRING, lambda _: store, RunOptions(), Silence()).targets
    store.close()

    cells = database.column()
    mine = theirs if theirs is None or not theirs.startswith("gAAAA") else "secret"
    assert (KEYRING.decrypt(cells[7]) if theirs else cells[7]) == mine
    assert opened({row: cell for row, cell in cells.items() if row not in {7, 31}}) == [
        f"secret {row}" for row in range(1, 31) if row != 7
    ]
    assert done.complete
    assert done.counts.taken_over == 29 + (theirs == "new plaintext") + (step == "keyless")
    if step == "keyless":
        assert done.proof == {"sqlite": "unchanged", "postgresql": "versions", "mariadb": "pass"}[database.kind]
        assert done.counts.rotated == 31


def test_a_look_that_fails_writes_nothing(
    database: Database, adopt: Callable[..., Ran], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of the database in the first look ends it, with the code of such an error."""
    database.make_creds(["hunter2", "hunter3"])

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise StoreError("the database is gone")

    monkeypatch.setattr(Store, "read", fail)
    ran = adopt("--yes", "--json")

    assert (ran.code, report(ran)["stopped"]) == (3, "the database is gone")
    assert database.column() == {1: "hunter2", 2: "hunter3"}


WAYS = [
    ("sqlite", "--full-speed"),
    ("mariadb", "--gentle"),
    ("postgresql", "--shard=0/1"),
    ("postgresql", "--full-speed"),
    ("mariadb", "--workers=3"),
]


@pytest.mark.some(2)
@pytest.mark.usefixtures("sending")
@pytest.mark.parametrize(("database", "options"), WAYS, indirect=["database"])
def test_however_it_is_done_it_is_the_same(
    database: Database,
    adopt: Callable[..., Ran],
    environ: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    options: str,
) -> None:
    """In threads, in workers that know only their own environment, or alone."""
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    # Threads are for large tables.
    number = 5_200 if database.kind == "postgresql" and "shard" not in options else 60
    cells = [f"secret {row}" if row % 2 else token("old", f"secret {row}") for row in range(number)]
    database.make_creds([*cells, DRESSED["json-value"]])

    ran = adopt("--yes", "--json", *options.split())

    assert (report(ran)["rotated"], report(ran)["taken_over"], report(ran)["unreadable"]) == (number, number // 2, 1)
    after = database.column()
    assert after.pop(number + 1) == DRESSED["json-value"]
    assert opened(after) == [f"secret {row}" for row in range(number)]


def test_refused_cells_are_listed_in_a_file(database: Database, adopt: Callable[..., Ran], tmp_path: Path) -> None:
    """By a look, and by what writes: every one, with its kind."""
    database.make_creds(["hunter2", *DRESSED.values()])
    lists = [tmp_path / "looked", tmp_path / "written"]

    adopt("--problems", str(lists[0]))
    adopt("--yes", "--problems", str(lists[1]))

    for path in lists:
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        assert [line["key"]["id"] for line in lines] == list(range(2, len(DRESSED) + 2))
        assert not [line for line in lines if line["category"] == "plaintext"]


def configure(folder: Path, database: Database, setting: str = "") -> str:
    """A rotation.toml for creds.token with that setting; its path."""
    path = folder / "rotation.toml"
    path.write_text(f'[[target]]\nurl = "{database.url}"\ntable = "creds"\ncolumns = ["token"]\n{setting}\n')
    return str(path)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    with open_database("sqlite", tmp_path) as database:
        yield database


def test_it_is_recorded_and_a_run_leaves_plaintext_alone(sqlite: Database, cli: Cli, tmp_path: Path) -> None:
    """The ledger has one run and its census; before it, `run` names the rows and `adopt` as what is next."""
    sqlite.make_creds(["hunter2", token("old")])
    config = configure(tmp_path, sqlite)

    ran = cli("run", "--config", config)
    assert ran.code == 1
    assert f"(it only reads at first): keyring-rotate adopt --config {config}" in " ".join(ran.out.split())
    assert sqlite.column()[1] == "hunter2"

    adopted = cli("adopt", "--yes", "--config", config)
    assert adopted.code == 0
    assert "Encrypted 1 cell" in adopted.out
    with Ledger.open(f"sqlite:///{tmp_path}/rotation-ledger.db") as ledger:
        [census] = ledger.censuses()
        runs = ledger.runs()
    assert (census.complete, census.counts.taken_over, census.counts.plaintext) == (True, 1, 0)
    assert [each.outcome for each in runs][:1] == ["complete"]
    assert cli("check", "--config", config).code == 0


def test_targets_that_adopt_cannot_take_are_left_out_by_name(sqlite: Database, cli: Cli, tmp_path: Path) -> None:
    """The next step of `run` can be pasted, whatever other targets there are; only if none is left, it is refused."""
    sqlite.make_creds(["hunter2", token("new")])
    entry = f'[[target]]\nurl = "{sqlite.url}"\ntable = "{{}}"\ncolumns = ["token"]\n{{}}\n'
    other = 'from = { package = "django-cryptography", secret = "$OLD_SECRET" }'
    for name, text in (("hooks", f"see {token('new')}"), ("texts", f"{token('new')}")):
        sqlite.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, token TEXT)")
        sqlite.insert(name, [{"id": 1, "token": text}])
    entries = [entry.format("hooks", 'format = "embedded"'), entry.format("texts", other), entry.format("creds", "")]
    config = tmp_path / "rotation.toml"
    config.write_text("".join(entries))
    environ = {"ENCRYPTION_KEY": key_text("new"), "OLD_SECRET": "battery-staple"}

    ran = cli("run", "--config", str(config), environ=environ)
    [command] = re.findall(r"keyring-rotate (adopt .*)", ran.out)
    looked = cli(*shlex.split(command), environ=environ)
    done = cli(*shlex.split(command), "--yes", "--json", environ=environ)

    assert (ran.code, looked.code, done.code) == (1, 1, 0), done.err
    assert "Note: hooks.token: left out: its format is embedded" in looked.out
    assert [words.partition(": ")[0] for words in done.document["left_out"]] == ["hooks.token", "texts.token"]
    assert opened(sqlite.column())[0] == "hunter2"

    config.write_text("".join(entries[:2]))
    assert cli("adopt", "--config", str(config), environ=environ).code == 2


def test_options_that_name_a_target_say_which_file_of_keys_to_add(
    sqlite: Database, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside --url rotation.toml is not read: the error about the missing key names the file that it names."""
    monkeypatch.chdir(tmp_path)
    sqlite.make_creds(["hunter2"])
    Path("rotation.toml").write_text('env_file = "keys.env"\n')
    Path("keys.env").write_text(f"ENCRYPTION_KEY={key_text('new')}\n")
    command = ("adopt", "--url", sqlite.url, "--table", "creds", "--column", "token")

    ran = cli(*command, environ={})

    assert (ran.code, "rotation.toml is not read" in ran.err) == (2, True)
    assert "add --env-file keys.env\n" in ran.err
    assert cli(*command, "--env-file", "keys.env", environ={}).code == 1


@pytest.mark.parametrize(
    ("setting", "options", "words"),
    [
        ('format = "embedded"', (), "creds.token: its format is embedded"),
        ('from = { package = "django-cryptography", secret = "$OLD_SECRET" }', (), "writes no tokens"),
        (
            'from = { package = "advanced-alchemy", secret = "$OLD_SECRET" }',
            ("--accept-random",),
            "run without --accept-random",
        ),
    ],
    ids=["another format", "another package", "random cells of another package"],
)
def test_a_target_that_adopt_cannot_take_is_refused(  # noqa: PLR0913, PLR0917 - the parts of a case
    sqlite: Database, cli: Cli, tmp_path: Path, setting: str, options: tuple[str, ...], words: str
) -> None:
    """Its texts hold tokens, or a wrong secret would make its ciphertext look like plaintext."""
    sqlite.make_creds(["hunter2"])

    ran = cli("adopt", "--yes", "--config", configure(tmp_path, sqlite, setting), *options)

    assert (ran.code, words in ran.err) == (2, True), ran.err
    assert sqlite.column() == {1: "hunter2"}


def test_tokens_without_their_key_stop_it(sqlite: Database, cli: Cli) -> None:
    """If most of the first cells are tokens that no key opens, plaintext beside them stays, too."""
    cells = [*(token("nobody") for _ in range(30)), "hunter2"]
    sqlite.make_creds(cells)

    ran = cli("adopt", "--yes", "--json", "--url", sqlite.url, "--table", "creds", "--column", "token")

    assert "a key is missing" in report(ran)["stopped"]
    assert list(sqlite.column().values()) == cells


def test_no_plaintext_is_encrypted_beside_tokens_of_other_keys(database: Database, adopt: Callable[..., Ran]) -> None:
    """The services have another key then, and could not read it. A few tokens behind all plaintext say so."""
    cells = [*(f"hunter2 {number}" for number in range(1_050)), *(token("nobody") for _ in range(3)), token("old")]
    database.make_creds(cells)
    before = database.column()

    looked, ran = adopt(), adopt("--yes", "--json")

    assert (looked.code, ran.code, database.column()) == (1, 1, before)
    words = " ".join(looked.out.split())
    assert "3 of its 4 tokens cannot be read: a key is missing" in words
    assert "adopt --yes" not in words
    assert "Nothing was written here" in report(ran)["stopped"]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_token_too_long_for_an_index_costs_no_other(database: Database, adopt: Callable[..., Ran]) -> None:
    """Its row is named, and the others become tokens."""
    database.make_creds(["hunter2", "x" * 2_400, "hunter2 3"], "TEXT")
    database.execute("CREATE INDEX by_token ON creds (token)")

    ran = adopt("--yes", "--json")

    assert (ran.code, report(ran)["rotated"]) == (1, 2)
    assert problems(ran) == [({"id": 2}, "refused")]
    assert database.column()[2] == "x" * 2_400


def test_what_comes_next_is_said(database: Database, adopt: Callable[..., Ran]) -> None:
    """After the last cell nothing needs to take plaintext any longer; no model is known whose type could."""
    database.make_creds(["hunter2"])

    assert "\nNext:\n  1. if a service still takes plaintext in these columns, " in adopt("--yes").out
