"""How cells are counted, and the entries that are printed for their columns."""

from __future__ import annotations

import pickle
import tomllib
from base64 import b64encode, urlsafe_b64decode
from collections import Counter

import msgspec
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Key, Keyring
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration
from rotation.discovery.discover import SearchPlan, uncovered_token_columns
from rotation.discovery.result import Discovery, Remark, target_entries
from rotation.discovery.survey import Survey
from rotation.discovery.token_column import BARE, DOUBLE, Part, TokenColumn
from rotation.model.failures import StoreError
from rotation.model.next_steps import PLAIN, Next, Steps
from rotation.model.target import Format, Target
from rotation.output.discovery_text import render_discovery
from rotation.planning.cell_kinds import CellKind
from rotation.planning.planner import Planner
from tests.conftest import Named
from tests.databases import Database
from tests.fakes import batch_of
from tests.keys import key_text, make_key
from tests.stores.tokens import make_token, make_tokens

pytestmark = pytest.mark.database


ONE = Counter({BARE: 1})
IN_TEXT = Counter({Part(CellKind.TOKEN_IN_TEXT, Format.EMBEDDED): 1})
IN_BASE64 = Counter({Part(CellKind.ENCODED_TOKEN, Format.BASE64): 1})


def column(**more: object) -> TokenColumn:
    """One that holds a token."""
    given = {"table": "creds", "parts": ONE, "url": "$DATABASE_URL"} | more
    return TokenColumn("a database", column="token", **given)  # type: ignore[arg-type]


def test_bare_and_embedded_tokens_are_counted_apart(keyring: Keyring, old: Key, new: Key) -> None:
    """Bare tokens, tokens in text, and texts that only begin like a token; bytes and texts."""
    token, found = make_token("one"), TokenColumn("a database", "creds", "token")

    found.take([keyring], [token, token.encode(), f" {token}\n", make_token("x", "new"), make_token("x", "nobody")])
    found.take([keyring], [f"see {token}, and {token}", f'"{token}"', token + token, memoryview(f"<{token}>".encode())])
    found.take([keyring], ["gAAAA", "gAAAA is how it begins", token[:60], "gAAAA" + "x" * 90])

    assert (found.tokens, found.embedded, found.unknown) == (5, 4, 1)
    assert found.under[new.id] == 1
    assert found.under[old.id] >= 3 + 4


NOBODYS = make_token("x", "nobody")
UNOPENED: dict[str, str | bytes] = {
    "inside text": f"see {NOBODYS}",
    "inside text, of 1970": f'{{"t": "{Fernet(key_text("nobody")).encrypt_at_time(b"x", 7).decode()}"}}',
    "in base64": b64encode(NOBODYS.encode()).decode(),
    "in hex": NOBODYS.encode().hex(),
    "raw": urlsafe_b64decode(NOBODYS),
    "raw, in a pickle": pickle.dumps({"t": urlsafe_b64decode(NOBODYS), "n": 1}),
    "raw, beside a length": b"\x0a\x64" + urlsafe_b64decode(NOBODYS) + b"\x10\x01",
    "with letters behind": NOBODYS.rstrip("=") + "abc",
    "in base64, with more behind": b64encode(f"{NOBODYS};more".encode()).decode(),
    "with a comma inside": f"{NOBODYS[:30]},{NOBODYS[30:]}",
    "inside a token": make_token(NOBODYS, "new"),
    "inside a token, with no end": make_token(f"{NOBODYS}abc", "new"),
}
"""A token that no key opens inside of something else; its end does not show in some of these."""


def test_a_key_has_to_stay_for_what_may_need_it(keyring: Keyring, old: Key, new: Key) -> None:
    """A token under it anywhere; one that no key opens, in the targets' own schemas, also as a part if that may be."""
    cells = {
        "under it": make_token("x"),
        "under another": make_token("x", "new"),
        "unknown": make_token("x", "nobody"),
        "inside text": f"see {make_token('x')}",
        "inside a token": make_token(make_token("x"), "new"),
        **{f"unknown {name}": cell for name, cell in UNOPENED.items()},
    }
    found = {name: TokenColumn("a database", "creds", "token") for name in cells}
    for name, cell in cells.items():
        found[name].take([keyring], [cell])
    near, bare = ({name for name in cells if found[name].may_need(old.id, any_place=any_)} for any_ in (True, False))
    for one in found.values():
        one.elsewhere = True

    unknown = {name for name in cells if name.startswith("unknown")}
    assert near == {*cells} - {"under another"}
    assert bare == near - unknown | {"unknown"}
    assert {name for name in cells if found[name].may_need(old.id, any_place=True)} == near - unknown
    assert {name for name, column in found.items() if column.is_foreign} == {
        name for name in unknown if "inside a token" not in name
    }


def test_a_cell_of_two_owners_in_one_form_has_no_entry(keyring: Keyring, old: Key, named: Named) -> None:
    """Tokens of these keys beside tokens that no key opens, in one form: perhaps a key of these is lost; it says so."""
    own, other = make_token("one"), make_token("two", "nobody")
    cases = {
        "in JSON": ([f'{{"a": "{own}", "b": "{other}"}}'], 0, 1),
        "as bytes": ([f"{own} {other}".encode()], 0, 1),
        "beside a cell of one owner": ([f"{own} {other}", f"<{own}>"], 1, 1),
        "of one owner": ([f"{own} {make_token('three', 'new')}"], 1, 0),
        "of another one": ([f"<{other}>"], 1, 0),
    }

    for name, (cells, served, mixed) in cases.items():
        with named(name):
            found = TokenColumn("a database", "creds", "token", url="$DATABASE_URL")
            found.take([keyring], cells)
            shown = "".join(map(str, render_discovery(Discovery(full=True, columns=[found]))))

            assert (found.served, found.proposed, sum(found.unserved.values())) == (served, bool(served), mixed)
            assert any(
                "beside tokens that no key here opens" in way for way in PLAIN.lines(Steps(*found.remedies))
            ) == bool(mixed)
            assert ("beside tokens that no key opens" in shown) == bool(mixed)
            assert found.may_need(old.id, any_place=False) == (name != "of another one")


WRAPPED = {
    "base64": f"clw1.local.{b64encode(make_token('one').encode()).decode()}.{make_token('two', 'nobody')}",
    "hex": f"{make_token('two', 'nobody')}:{make_token('one').encode().hex()}",
    "embedded": f'{{"k": "{make_token("one")}", "v": "{b64encode(make_token("two", "nobody").encode()).decode()}"}}',
}


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("as_bytes", [False, True])
def test_an_envelope_gets_an_entry_that_works(keyring: Keyring, form: str, as_bytes: bool) -> None:
    """The format of the token under a key that is here, and others = "leave"; a run with that rotates the cell."""
    cell = WRAPPED[form].encode() if as_bytes else WRAPPED[form]
    found = TokenColumn("a database", "creds", "token", url="$DATABASE_URL")
    found.take([keyring], [cell])
    shown = "".join(map(str, render_discovery(Discovery(full=True, columns=[found]))))
    [entry] = tomllib.loads(target_entries([found]))["target"]
    planner = Planner(keyring, format=Format(entry["format"]), leaves_others=entry["others"] == "leave")
    plan = planner.plan(batch_of([((1,), cell)]))

    assert entry["format"] == form
    assert "1 envelope: a wrapped key and a value of another key" in shown
    assert (len(plan.swaps), plan.counts.others, plan.counts.problems) == (1, 1, [])


@pytest.mark.parametrize("form", WRAPPED)
def test_an_envelope_of_keys_that_are_not_here_gets_no_entry(form: str) -> None:
    """No key opens either of its tokens: nothing is proposed, and it says what the cell is and what to set."""
    found = TokenColumn("a database", "creds", "token", url="$DATABASE_URL")
    found.take([Keyring(make_key("stranger"))], [WRAPPED[form]])
    shown = "".join(map(str, render_discovery(Discovery(full=True, columns=[found]))))

    assert not found.proposed
    assert not target_entries([found])
    assert "envelope: a wrapped key and a value of another key, and no key here opens either: set the key" in shown


def test_an_envelope_of_two_key_sets_gets_an_entry_that_works(keyring: Keyring, old: Key) -> None:
    """Both keys are here: a target of one of the sets has to leave what the other one opens."""
    cell = f"{b64encode(make_token('one').encode()).decode()}.{make_token('two', 'redash')}"
    found = TokenColumn("a database", "creds", "token", url="$DATABASE_URL")
    found.take([keyring, Keyring(make_key("redash"))], [cell])
    [entry] = tomllib.loads(target_entries([found]))["target"]

    assert (entry["format"], entry["others"]) == ("base64", "leave")
    assert found.under == {old.id: 1, make_key("redash").id: 1}


def test_a_target_without_leave_does_not_serve_an_envelope(keyring: Keyring) -> None:
    """Its column has a target: the search says which settings it lacks, and nothing once it has them."""
    found = TokenColumn("a database", "creds", "token", covered=True, formats=(Format.BASE64,))
    found.take([keyring], [WRAPPED["base64"]])
    lines = PLAIN.lines(Steps(*found.remedies))
    left = TokenColumn("a database", "creds", "token", covered=True, formats=(Format.BASE64,), others="leave")
    left.take([keyring], [WRAPPED["base64"], f"{b64encode(make_token('one').encode()).decode()}"])

    assert lines == ['set format = "base64" and others = "leave" in its [[target]], then: keyring-rotate run']
    assert (left.served, left.unserved) == (2, {})


DISCOVER = "print the entry to add: keyring-rotate discover"
REMEDIES: dict[str, tuple[dict[str, object], list[str]]] = {
    "proposed": ({}, [DISCOVER]),
    "named": ({"covered": True}, ["keyring-rotate run"]),
    "without a key": (
        {"hint": "table creds has no primary key; name", "add_key": "ALTER TABLE", "url": "$DATABASE_URL"},
        [
            "add a key to the table, which has none: ALTER TABLE\n"
            "add its entry: keyring-rotate init --append --url '$DATABASE_URL'\n"
            "keyring-rotate run"
        ],
    ),
    "of another type": ({"hint": "the column's type is JSON"}, ["have the application keep these tokens where"]),
    "inside text": ({"parts": IN_TEXT}, [DISCOVER]),
    "inside text, and its target": (
        {"parts": IN_TEXT, "covered": True, "formats": (Format.TOKEN,)},
        ['set format = "embedded" in its [[target]]'],
    ),
    "of two kinds": (
        {"parts": ONE + IN_TEXT + IN_BASE64},
        [
            DISCOVER,
            "1 cell of the kind encoded-token: give these rows a [[target]]",
        ],
    ),
    "in another encoding": (
        {"parts": Counter({Part(CellKind.ENCODED_TOKEN, None): 1})},
        ["no format fits how these tokens are encoded"],
    ),
    "of another cipher": (
        {"parts": Counter({Part(CellKind.FOREIGN_CIPHER, None): 1})},
        ["no key here opens what another cipher wrote"],
    ),
    "in a token": (
        {"parts": Counter({DOUBLE: 1})},
        [DISCOVER, "no run rotates a token inside another"],
    ),
    "of two kinds, made of a target's column": (
        {"parts": ONE + IN_BASE64, "made_of": ("a.b",), "copy_of": ("a.b",)},
        ["keyring-rotate run"],
    ),
    "in a view of two columns": (
        {"made_of": ("a.b", "a.c"), "copy_of": ("a.b",), "sources": ("a.b", "a.c"), "refresh": ("as its owner x: R",)},
        ["it is made of a.c: name that in a [[target]], then: ", "once a.b and a.c are rotated, as its owner x: R"],
    ),
    "made of what holds none": ({"made_of": ("a.b",)}, ["have the application keep these tokens where"]),
    "in the past": ({"has_history": True, "covered": True}, ["keyring-rotate run", "DELETE HISTORY FROM creds"]),
}


@pytest.mark.parametrize(("given", "begins"), REMEDIES.values(), ids=REMEDIES.keys())
def test_each_column_has_a_way_out(given: dict[str, object], begins: list[str]) -> None:
    """Each reason to keep a key has a remedy."""
    remedies = TokenColumn(**{"database": "a", "table": "creds", "column": "token", "parts": ONE, **given}).remedies  # type: ignore[arg-type]

    assert len(remedies) == len(begins)
    assert all("\n".join(PLAIN.lines(way)).startswith(begin) for way, begin in zip(remedies, begins, strict=True))


def test_a_database_that_no_url_names_has_none_in_its_entry() -> None:
    """The entry names a variable for the url, and the database in a comment."""
    text = target_entries([TokenColumn("PostgreSQL database other", "creds", "token", parts=ONE)])

    assert msgspec.toml.decode(text)["target"][0]["url"] == "$DATABASE_URL"
    assert "of the PostgreSQL database other" in text


@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True))
def test_an_entry_is_toml_whatever_the_names(table: str, key: list[str]) -> None:
    """What is printed parses to what was meant."""
    proposed = TokenColumn("a", table, key[0], parts=ONE, key_columns=tuple(key), url="$DB")

    parsed = msgspec.toml.decode(target_entries([proposed]))

    assert parsed == {"target": [{"url": "$DB", "table": table, "columns": [key[0]], "key_columns": key}]}


URLS = {
    "$DATABASE_URL": "$DATABASE_URL",
    "sqlite:///app.db?mode=ro": "sqlite:///app.db?mode=ro",
    "postgresql://localhost/app": "postgresql://localhost/app",
    "postgresql://user:pw@localhost/app": "$DATABASE_URL",
    "postgresql://localhost/app?password=pw": "$DATABASE_URL",
}


@pytest.mark.parametrize(("written", "printed"), URLS.items(), ids=URLS.keys())
def test_an_entry_shows_no_password(written: str, printed: str) -> None:
    """A url that may hold one is replaced by a variable."""
    text = target_entries([TokenColumn("PostgreSQL database app", "creds", "token", parts=ONE, url=written)])

    assert msgspec.toml.decode(text)["target"][0]["url"] == printed
    assert "pw" not in text
    assert ("PostgreSQL database app" in text) == (written != printed)


def test_columns_of_one_table_are_one_entry() -> None:
    """A column that cannot be a target, or is one, is in no entry."""
    second = column()
    second.column = "other"
    text = target_entries([column(), second, column(covered=True), column(hint="it is a view")])

    assert [entry["columns"] for entry in msgspec.toml.decode(text)["target"]] == [["token", "other"]]


def test_a_column_that_models_declare_has_only_their_entry() -> None:
    """Its own one would name it a second time."""
    declared = [DeclaredColumn(Declaration(models="app:Base"), "public.creds", "token")]
    found = Discovery(full=True, columns=[column(), column(table="others")], declared=declared, without_target=declared)

    entries = msgspec.toml.decode(found.entries)["target"]

    assert [(entry.get("models"), entry.get("table")) for entry in entries] == [("app:Base", None), (None, "others")]


def test_uncovered_columns_are_available_without_a_command(database: Database, keyring: Keyring, old: Key) -> None:
    """Other programs can ask for them before a key is retired, with the keys that each column needs."""
    database.make_creds(make_tokens(3))
    database.execute("CREATE TABLE forgotten (id INTEGER PRIMARY KEY, token TEXT)")
    database.insert("forgotten", [{"id": 1, "token": make_token("x")}])
    targets = [Target(database.url, "creds", "token", "creds")]

    found = uncovered_token_columns(targets, keyring, lambda url: Survey(url, sleep=lambda _: None))

    assert [(uncovered.label, dict(uncovered.under)) for uncovered in found] == [("forgotten.token", {old.id: 1})]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_table_that_cannot_be_read_raises(
    database: Database, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a key could be retired although a table was not read."""
    database.make_creds([])
    monkeypatch.setattr(Survey, "read", lambda *_, **__: (None, "the privilege for it is missing"))

    with pytest.raises(StoreError, match=r"creds cannot be looked at: the privilege for it is missing"):
        uncovered_token_columns(
            [Target(database.url, "creds", "token", "creds")], keyring, lambda url: Survey(url, sleep=lambda _: None)
        )


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_where_of_a_target_is_reported(database: Database, keyring: Keyring) -> None:
    """Its column is covered, and the rows that its `where` leaves out are not."""
    from rotation.discovery.discover import databases_of, discover

    database.make_creds(make_tokens(3))
    some = Target(database.url, "creds", "token", "creds", where="id > 1")
    targets = [some, Target(database.url, "gone", "token", "gone")]

    def survey(url: str) -> Survey:
        return Survey(url, sleep=lambda _: None)

    found = discover(SearchPlan(databases_of(targets), targets, {None: keyring}, full=True), survey)

    assert [(one.covered, one.where) for one in found.columns] == [(True, "id > 1")]
    assert [(remark.subject, remark.words[:22]) for remark in found.remarks] == [
        ("gone.token", "there is no table gone")
    ]
    assert found.exit_code == 0


def test_a_screen_has_words_for_all_of_it() -> None:
    """Samples, hidden rows, unread tables, large cells, and targets with a where."""
    of_two_kinds = column(covered=True, formats=(Format.TOKEN,), parts=ONE + IN_BASE64)
    of_two_kinds.column = "copy"
    found = Discovery(
        full=False,
        columns=[column(where="id > 1", covered=True), of_two_kinds, column(large=1, sampled=True, rows=10_000)],
        databases={"a database": 3},
        rows=12_345,
        sampled=1,
        remarks=[Remark("a database", "creds", "rows may be hidden")],
        unseen=[Remark("a database", "secret", "the privilege for it is missing")],
        recognised=[Next(("init",), "These tables are an application's:")],
    )
    text = "\n".join(str(part) for part in render_discovery(found))

    for words in (
        "Read 12,345 rows: a sample of 1 large table",
        "creds.token: its target covers only the rows of its `where`",
        "creds.token: in 10,000 rows, of a sample, none under a key of this environment",
        "Note: creds: rows may be hidden",
        "These tables are an application's: keyring-rotate init",
        "creds.copy: its target has the format token, which leaves cells of other kinds: 1 encoded-token (base64)",
        "Not looked at: secret: the privilege for it is missing",
        "Not looked at: 1 table.",
    ):
        assert words in text
    assert found.exit_code == 3
    clean = [str(part) for part in render_discovery(Discovery(full=True))]
    assert clean[-1] == "No uncovered column with tokens was found."
