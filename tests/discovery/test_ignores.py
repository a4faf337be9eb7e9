"""`[[ignore]]`: columns that are somebody else's, in each output, and what they do not hide."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keyring_core import Key, Keyring
from rotation.configuration.sections import Ignored
from rotation.discovery.discover import SearchPlan, databases_of, discover, uncovered_token_columns
from rotation.discovery.survey import Survey
from rotation.model.target import Target
from tests.conftest import Cli
from tests.databases import Database
from tests.keys import make_key
from tests.stores.tokens import make_token, make_tokens

pytestmark = pytest.mark.database
THEIRS = '[[ignore]]\ntable = "theirs"\ncolumns = ["secret"]\nreason = "of the billing team"\n'
COUNTED = "of the billing team; 1 token in it that no key here opens"
"""How a search of every row lists the column: its token is under a key that is not here, or bound."""


@pytest.fixture
def app(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Database:
    """A target that is done, and a column of somebody else's; rotation.toml in the current folder names both."""
    monkeypatch.chdir(tmp_path)
    database.make_creds(make_tokens(2, "new"))
    database.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY, secret TEXT, more TEXT)")
    hold(database, make_token("x", "nobody"))
    configure(database, THEIRS)
    return database


def hold(app: Database, token: str) -> None:
    """Puts *token* into their column, alone."""
    app.execute("DELETE FROM theirs")
    app.insert("theirs", [{"id": 1, "secret": token}])


def configure(app: Database, *more: str) -> None:
    entry = f'[[target]]\nurl = "{app.url}"\ntable = "creds"\ncolumns = ["token"]\n'
    Path("rotation.toml").write_text("\n".join([entry, *more]))


def survey(url: str) -> Survey:
    return Survey(url, sleep=lambda _: None)


@pytest.mark.costly("each output is made, and two retirements")
def test_every_output_lists_it_with_its_reason(app: Database, cli: Cli, old: Key, older: Key) -> None:
    """`discover`, `check`, the page and `keys retire`: the column is not uncovered, and keeps no key."""
    found, screen = cli("discover", "--json"), cli("discover")
    checked, line = cli("check", "--json"), cli("check", "--format", "nagios")
    text, page = cli("check"), cli("report", "--html", "page.html")
    retired = cli("keys", "retire", older.id, "--no-archive", "--certificate", "proof.json")
    again = cli("keys", "retire", old.id, "--no-archive", "--json")

    assert (found.code, found.document["complete"], found.document["targets"]) == (0, True, "")
    [ignored] = found.document["ignored"]
    assert (ignored["subject"], ignored["words"]) == ("theirs.secret", "of the billing team")
    assert [column["ignored"] for column in found.document["columns"]] == [None, "of the billing team"]
    assert "Ignored: theirs.secret: of the billing team\n" in screen.out
    assert checked.document["ignored"] == found.document["ignored"]
    assert not [one for one in checked.document["findings"] if one["check"] == "uncovered_columns"]
    assert "ignored: theirs.secret (of the billing team)" in line.out
    assert "Ignored: theirs.secret (of the billing team)\n" in text.out
    assert page.code == 0, page.err
    assert "<bdi>theirs.secret</bdi>" in Path("page.html").read_text()
    assert f"Ignored: theirs.secret: {COUNTED}\n" in retired.out
    assert "Refused" not in retired.out
    assert json.loads(Path("proof.json").read_text())["ignored"][0].endswith(f"theirs.secret: {COUNTED}")
    assert (again.document["refused"], again.document["ignored"]) == ([], [ignored | {"words": COUNTED}])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize("form", ["{}", 'see "{}"'])
def test_a_token_under_the_key_keeps_it_all_the_same(app: Database, cli: Cli, old: Key, older: Key, form: str) -> None:
    """The entry is wrong then: without the key that token would be lost. Another key may go."""
    hold(app, form.format(make_token("x", "older")))

    kept, other = (cli("keys", "retire", key.id, "--no-archive", "--json").document["refused"] for key in (older, old))

    [refusal] = kept
    assert refusal["reason"].startswith("theirs.secret: rotation.toml ignores it (of the billing team), and it holds")
    assert "in place of the [[ignore]]" in refusal["remedy"]
    assert other == []


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_tokens_bound_to_a_context_that_no_target_names_are_counted(app: Database, cli: Cli, older: Key) -> None:
    """No key opens them here, so nobody can say that they are not under the key: the certificate has their number."""
    app.insert("theirs", [{"id": n, "more": Keyring(older).bind("theirs").encrypt("x")} for n in (2, 3)])
    app.insert("theirs", [{"id": 4, "more": json.dumps([Keyring(older).bind("theirs").encrypt("x")])}])
    configure(app, THEIRS.replace('["secret"]', '["secret", "more"]'))

    retired = cli("keys", "retire", older.id, "--no-archive", "--json").document

    assert retired["certificate"]["ignored"][1].endswith("of the billing team; 3 tokens in it that no key here opens")
    assert retired["ignored"][1]["subject"] == "theirs.more"


def test_a_whole_table_is_ignored(app: Database, cli: Cli) -> None:
    """Without `columns`, all of its columns are; it is listed once, and a column with tokens by itself."""
    configure(app, '[[ignore]]\ntable = "theirs"\nreason = "of the billing team"\n')

    ran, full = cli("discover", "--json"), cli("discover", "--json", "--full")

    assert (ran.code, [one["subject"] for one in ran.document["ignored"]]) == (0, ["theirs, all columns"])
    listed = [(one["subject"], one["words"]) for one in full.document["ignored"]]
    assert listed == [("theirs, all columns", "of the billing team"), ("theirs.secret", COUNTED)]


@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_schema_may_be_named(app: Database, cli: Cli) -> None:
    """As a target's may, also if the table's name alone finds it."""
    configure(app, THEIRS.replace('"theirs"', '"public.theirs"'))

    assert cli("discover").code == 0


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_ignore_of_another_database_ignores_nothing_here(app: Database, cli: Cli, environ: dict[str, str]) -> None:
    """Its url chooses the database, as it was written or as a variable holds it."""
    environ["HERE"] = app.url
    configure(app, THEIRS + 'url = "$HERE"\n')
    here = cli("discover")
    configure(app, THEIRS + 'url = "sqlite:///another.db"\n')

    assert (here.code, cli("discover").code) == (0, 1)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_ignore_without_a_match_is_remarked_on(app: Database, cli: Cli) -> None:
    """A column, and a table, that are not there; not if only a part was searched, or another database."""
    configure(app, THEIRS.replace('"secret"', '"secrets"'), '[[ignore]]\ntable = "gone"\nreason = "x"\n')

    ran, part = cli("discover", "--json"), cli("discover", "--json", "--schema", "main")
    Path("another.db").touch()
    another = cli("discover", "--json", "--url", "sqlite:///another.db")

    assert ran.code == 1
    assert [remark["subject"] for remark in ran.document["remarks"]] == ["theirs.secrets", "gone, all columns"]
    assert (part.document["remarks"], another.document["remarks"]) == ([], [])


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_target_wins_over_an_ignore(app: Database, cli: Cli) -> None:
    """A column that both name is the target's, and a remark says so."""
    configure(app, THEIRS.replace('"theirs"', '"creds"').replace('"secret"', '"token"'))

    ran = cli("discover", "--json")

    assert [column["covered"] for column in ran.document["columns"]] == [True, False]
    assert [(one["subject"], one["words"][:8]) for one in ran.document["remarks"]] == [("creds.token", "a target")]
    assert ran.document["ignored"] == []


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ('table = "a"', "[[ignore]] 1: `reason` is missing; add reason = "),
        ('table = "a"\nreason = " "', "ignore a: give a reason why"),
        ('table = "a"\ncolumns = []\nreason = "x"', "ignore a: columns is empty"),
        ('table = " "\nreason = "x"', "an [[ignore]] needs a table"),
        ('table = "a"\nreason = "x"\nurl = "$NOT_SET"', "ignore a: its url is $NOT_SET, and that variable is not set"),
        ('table = "a"\nreason = "x"\nwhere = "x"', "unknown setting `where`; there are table, columns, reason, url"),
    ],
)
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_an_ignore_that_does_not_fit_is_refused(app: Database, cli: Cli, entry: str, words: str) -> None:
    """Exit code 2, and the setting by its name."""
    configure(app, f"[[ignore]]\n{entry}\n")

    ran = cli("discover")

    assert (ran.code, words in ran.err) == (2, True), ran.err


def test_a_program_can_ignore_columns_too(app: Database, keyring: Keyring) -> None:
    """The library takes the same values."""
    targets, ignored = [Target(app.url, "creds", "token", "creds")], [Ignored(table="theirs", reason="theirs")]

    assert uncovered_token_columns(targets, keyring, survey, ignored=ignored) == []
    assert "theirs" not in repr(Ignored(table="a", reason="b", url="theirs"))


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_tokens_under_the_keys_of_a_set_are_known(app: Database, keyring: Keyring) -> None:
    """The entry for their column names the set; the tables that were seen are listed with all their columns."""
    targets = [Target(app.url, "creds", "token", "creds")]
    sets = {"billing": Keyring(make_key("nobody"))}

    found = discover(SearchPlan(databases_of(targets), targets, sets, full=True), survey)

    [column] = found.uncovered
    assert (column.unknown, dict(column.under)) == (0, {make_key("nobody").id: 1})
    assert '\nkeys = "billing"\n' in found.entries
    assert found.tables_seen == {"creds": {"id", "token", "note"}, "theirs": {"id", "secret", "more"}}
