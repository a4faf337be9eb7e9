"""`run`, `discover` and `check` over the columns that SQLAlchemy models declare."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyring_core import Keyring
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.declared.models import MODELS, Write
from tests.keys import make_key

pytestmark = pytest.mark.database

OLD, NEW = make_key("old"), make_key("new")


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """A database with the tables of the models, and tokens under the old key."""
    with open_database(request.param, tmp_path) as database:
        database.execute(
            "CREATE TABLE users (id INTEGER PRIMARY KEY, memo TEXT, email TEXT, email_index VARCHAR(64))",
            "CREATE TABLE partners (id INTEGER PRIMARY KEY, memo TEXT, name TEXT, memo_index VARCHAR(64))",
        )
        ring = Keyring(OLD)
        memo, email = ring.encrypt("a note"), ring.bind("users.email").encrypt("a@example.org")
        database.insert("users", [{"id": 1, "memo": memo, "email": email}, {"id": 2, "memo": memo, "email": email}])
        database.insert("partners", [{"id": 1, "memo": memo}])
        yield database


@pytest.fixture
def environ(environ: dict[str, str], request: pytest.FixtureRequest) -> dict[str, str]:
    """The keys and, if the test has a database, its url."""
    return environ | ({"APP_URL": request.getfixturevalue("app").url} if "app" in request.fixturenames else {})


def test_a_run_rotates_what_the_models_declare(module: Write, cli: Cli, app: Database) -> None:
    """Each column, bound or not, is then under the new key alone; a dry run writes nothing before."""
    name = module()
    Path("rotation.toml").write_text(f'[[target]]\nmodels = "{name}:Base"\nurl = "$APP_URL"\n')
    before = app.column("users", "memo"), app.column("users", "email")

    dry = cli("run", "--dry-run")
    assert (dry.code, app.column("users", "memo"), app.column("users", "email")) == (1, *before)

    ran = cli("run", "--json")

    assert ran.code == 0, ran.err
    assert sum(target["rotated"] for target in ran.document["targets"]) == 5
    ring = Keyring(NEW)
    assert ring.decrypt(app.column("users", "memo")[1]) == "a note"
    assert ring.bind("users.email").decrypt(app.column("users", "email")[2]) == "a@example.org"
    assert ring.decrypt(app.column("partners", "memo")[1]) == "a note"
    assert "remove accept_plaintext from the column types" in cli("adopt", "--yes").out


def test_a_column_of_another_kind_than_its_model_declares_is_noted(module: Write, cli: Cli, app: Database) -> None:
    """Text for a column of bytes, and the reverse; after the model was corrected there is no note."""
    kind = "BYTEA" if app.kind == "postgresql" else "BLOB"
    app.execute("DROP TABLE users", f"CREATE TABLE users (id INTEGER PRIMARY KEY, memo {kind}, email TEXT)")
    index = '    email_index: Mapped[str | None] = mapped_column(BlindIndexOf("email", "users.email.index"))\n'
    both = MODELS.replace(index, "").replace("EncryptedText(context=True)", "EncryptedText(context=True, binary=True)")
    memo = "    memo: Mapped[str | None] = mapped_column(EncryptedText(binary=True))\n"
    right = MODELS.replace(index, memo).replace("class User(HasNote, Base):", "class User(Base):")
    entry = '[[target]]\nmodels = "{}:Base"\nurl = "$APP_URL"\n'

    Path("rotation.toml").write_text(entry.format(module(both)))
    wrong = cli("status").out
    Path("rotation.toml").write_text(entry.format(module(right)))
    corrected = cli("status").out

    assert f"Note: users.memo: the column is {kind}: declare binary=True in the model" in wrong
    assert "Note: users.email: the column is TEXT: declare it without binary=True in the model" in wrong
    assert "Note" not in corrected


def test_discover_lists_declared_columns_and_the_entry(module: Write, cli: Cli, app: Database) -> None:
    """With and without a target; the one entry replaces those that the tokens alone would give."""
    name = module()
    arguments = ("discover", "--models", f"{name}:Base", "--url", "$APP_URL")

    before, text = cli(*arguments, "--json"), cli(*arguments)
    Path("rotation.toml").write_text(before.document["targets"])
    after = cli(*arguments, "--json")

    assert (before.code, after.code) == (1, 0), before.err + after.err
    assert before.document["targets"] == f'[[target]]\nmodels = "{name}:Base"\nurl = "$APP_URL"\n'
    assert [each["covered"] for each in before.document["declared"]] == [False] * 3
    assert {each["column"]: each["unknown"] for each in before.document["columns"]} == {"memo": 0, "email": 0}
    assert [each["covered"] for each in after.document["declared"]] == [True] * 3
    assert before.document["declared"][0] == {
        "models": f"{name}:Base",
        "table": "users",
        "column": "email",
        "context": "users.email",
        "covered": False,
    }
    assert "Not covered by a target: 3 columns that models declare as encrypted." in text.out
    assert before.document["targets"] in text.out


def test_the_entry_of_models_names_what_has_a_target(module: Write, cli: Cli, app: Database) -> None:
    """It covers that, too, and a column that is named twice in two ways is refused: one of the entries has to go."""
    name = module()
    Path("rotation.toml").write_text('[[target]]\nurl = "$APP_URL"\ntable = "users"\ncolumns = ["memo", "email"]\n')

    ran = cli("discover", "--models", f"{name}:Base", "--url", "$APP_URL", "--json")

    words = "# Covers users.email, users.memo, too: remove the entries that name these columns."
    assert ran.document["targets"] == f'[[target]]\n{words}\nmodels = "{name}:Base"\nurl = "$APP_URL"\n'


def test_discover_finds_a_declared_column_without_tokens(module: Write, cli: Cli, app: Database) -> None:
    """A search for tokens alone finds nothing in an empty table."""
    app.execute("DELETE FROM users", "DELETE FROM partners")
    name = module()

    ran = cli("discover", "--models", f"{name}:Base", "--url", app.url, "--json")

    assert ran.code == 1
    assert "\nmodels = " in ran.document["targets"]
    assert ran.document["columns"] == []
    if app.kind == "postgresql":
        assert app.url not in ran.out


def test_check_names_declared_columns_without_a_target(module: Write, cli: Cli, app: Database) -> None:
    """Of the models that the setting names; an [[ignore]] ends the finding, and a failing import is UNKNOWN."""
    name = module()
    by_hand = '[[target]]\nurl = "$APP_URL"\ntable = "users"\ncolumns = ["memo"]\n'
    ignore = '[[ignore]]\ntable = "users"\nreason = "none"\n'

    def findings(models: str, more: str = "") -> list[tuple[str, str]]:
        Path("rotation.toml").write_text(f'models = ["{models}"]\n{by_hand}{more}')
        document = cli("check", "--json").document
        of_check = [each for each in document["findings"] if each["check"] == "declared_columns"]
        return [(each["status"], each["subject"]) for each in of_check]

    assert findings(f"{name}:Base") == [("WARNING", "users.email"), ("WARNING", "partners.memo")]
    assert findings(f"{name}:Base", ignore) == [("WARNING", "partners.memo")]
    assert findings("app_that_is_not:Base") == [("UNKNOWN", "")]
