"""Targets from SQLAlchemy models, through the command line."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest

from rotation.context import Context
from rotation.model.failures import UsageError
from rotation.model.target import Index
from tests.conftest import Cli
from tests.declared.models import MODELS, Write, entry, targets

pytestmark = pytest.mark.database


def test_every_encrypted_column_is_a_target(module: Write) -> None:
    """Also one of a mixin in each of its tables, with the database's names; the index of a column goes with it."""
    entry(f"{module()}:Base.metadata", more='keys = "k"\noptional = true\n[keys.k]\nprimary = { secret = "$K" }\n')

    found = targets()

    assert [(each.label, each.context) for each in found] == [
        ("users.email", "users.email"),
        ("users.memo", None),
        ("partners.memo", None),
    ]
    assert [each.index for each in found] == [
        Index("email_index", "users.email.index"),
        None,
        Index("memo_index", "partners.memo.index"),
    ]
    assert {(each.url, each.keys, each.optional, each.listed, each.name == each.table) for each in found} == {
        ("sqlite:///app.db", "k", True, True, True)
    }


FOLDED = """
from keyring_core.blind_index import BlindIndex

class Folded(BlindIndexOf):
    @property
    def index(self):
        return BlindIndex("users.email.index", str.casefold)

User.__table__.c.email_index.type = Folded("email")
"""


def test_an_index_has_the_normal_form_of_its_type(module: Write) -> None:
    """Otherwise a run would make indexes that no lookup asks for; an entry by hand has to say the same."""
    name = module(MODELS + FOLDED)
    by_hand = '[[target]]\nurl = "sqlite:///app.db"\ntable = "users"\ncolumns = ["email"]\ncontext = "users.email"\n'
    index = 'index = { column = "email_index", context = "users.email.index", normalize = "NAME" }\n'
    entry(f"{name}:Base", more=by_hand + index.replace("NAME", "casefold"))

    [email] = [each for each in targets() if each.label == "users.email"]

    assert email.index == Index("email_index", "users.email.index", str.casefold)
    entry(f"{name}:Base", more=by_hand + index.replace("NAME", "lower"))
    with pytest.raises(UsageError, match=r"users\.email is named twice"):
        targets()


@pytest.mark.parametrize("path", ["Base", "Base.metadata", "User", "db.metadatas.other"])
def test_anything_with_metadata_will_do(module: Write, path: str) -> None:
    """A declarative base, its metadata, a model, or one of several in a mapping."""
    more = "\nclass db:\n    metadatas = {'other': Base.metadata}\n"
    entry(f"{module(MODELS + more)}:{path}")

    assert len(targets()) == 3


FLASK = """
from flask_sqlalchemy import SQLAlchemy
from keyring_core.integrations.sqlalchemy import EncryptedText

db = SQLAlchemy()

class User(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    pin = db.Column(EncryptedText(context=True))

class Event(db.Model):
    __bind_key__ = "reports"
    id = db.Column(db.Integer, primary_key=True)
    note = db.Column(EncryptedText)
"""
SQLMODEL = """
from sqlmodel import Field, SQLModel
from keyring_core.integrations.sqlalchemy import EncryptedText

class {name}(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    pin: str = Field(sa_type=EncryptedText)
"""


@pytest.mark.parametrize(("path", "label"), [("db", "user.pin"), ("db.metadatas.reports", "event.note")])
def test_flask_sqlalchemy(module: Write, path: str, label: str) -> None:
    """Each of its binds is a database, and so an entry, of its own."""
    entry(f"{module(FLASK)}:{path}")

    assert [each.label for each in targets()] == [label]


def test_sqlmodel(module: Write) -> None:
    """`SQLModel` itself has the metadata of all models."""
    table = f"T{secrets.token_hex(6)}"
    entry(f"{module(SQLMODEL.replace('{name}', table))}:SQLModel")

    assert f"{table.lower()}.pin" in [each.label for each in targets()]


def test_a_type_over_an_encrypted_one_is_encrypted_too(module: Write) -> None:
    """An application may put a type of its own around it."""
    text = """
import sqlalchemy as sa
from keyring_core.integrations.sqlalchemy import EncryptedText

class Upper(sa.types.TypeDecorator):
    impl = EncryptedText
    cache_ok = True

metadata = sa.MetaData()
sa.Table("t", metadata, sa.Column("id", sa.Integer, primary_key=True), sa.Column("pin", Upper(context="t.pin")))
"""
    entry(f"{module(text)}:metadata")

    assert [(each.label, each.context) for each in targets()] == [("t.pin", "t.pin")]


def test_a_table_in_a_schema_keeps_it(module: Write) -> None:
    """A target is called schema.table then; its `.context` is that of the type."""
    text = """
import sqlalchemy as sa
from keyring_core.integrations.sqlalchemy import EncryptedText

metadata = sa.MetaData(schema="crm")
sa.Table("leads", metadata, sa.Column("id", sa.Integer, primary_key=True),
         sa.Column("Phone", EncryptedText(context="a.name")))
"""
    entry(f"{module(text)}:metadata")

    assert [(each.table, each.column, each.context) for each in targets()] == [("crm.leads", "Phone", "a.name")]


REFUSED = {
    "no such module": ("app_that_is_not:Base", "there is no module app_that_is_not"),
    "no colon": ("app.models", 'write it as "module:attribute"'),
    "no such attribute": ("{name}:Base.tables", "has no Base.tables"),
    "no metadata": ("{name}:HasNote", "of type type; name a MetaData"),
}


@pytest.mark.parametrize(("path", "words"), REFUSED.values(), ids=REFUSED)
def test_a_path_that_leads_nowhere_is_refused(module: Write, cli: Cli, path: str, words: str) -> None:
    """By name, as an error of usage."""
    entry(path.format(name=module()))

    ran = cli("status")

    assert ran.code == 2
    assert words in ran.err


FAILING = {
    "an error": ("raise RuntimeError('no broker\\nat hand')", "RuntimeError: no broker at hand"),
    "a variable": ("import os\nos.environ['THE_APP_S_VARIABLE']", "KeyError: 'THE_APP_S_VARIABLE'"),
    "a module that it needs": ("import a_package_of_theirs", "No module named 'a_package_of_theirs'"),
    "an end": ("import sys\nsys.exit(0)", "importing it fails: SystemExit"),
    "its syntax": ("def", "SyntaxError"),
}


@pytest.mark.parametrize(("text", "words"), FAILING.values(), ids=FAILING)
def test_an_import_that_fails_is_an_error_of_usage(module: Write, cli: Cli, text: str, words: str) -> None:
    """It names the module, and class and message of the error, without a traceback; the exit code is 2."""
    name = module(text)
    entry(f"{name}:Base")

    ran = cli("run")

    assert ran.code == 2
    assert f"models {name}:Base: importing it fails: " in ran.err
    assert words in ran.err
    assert "Traceback" not in ran.err


def test_a_password_in_the_error_is_masked(module: Write, cli: Cli) -> None:
    """Settings that do not fit are often quoted by what refuses them."""
    entry(f"{module('raise ValueError(' + repr('postgresql://u:correct-horse-9@db/app') + ')')}:Base")

    ran = cli("run")

    assert ran.code == 2
    assert "importing it fails: ValueError" in ran.err
    assert "correct-horse" not in ran.err


def test_the_error_leads_to_no_value_of_the_application(module: Write) -> None:
    """Its context holds nothing: an application's own error may hold a password."""
    entry(f"{module('raise ValueError(1)')}:Base")

    with pytest.raises(UsageError) as caught:
        targets()

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_models_without_an_encrypted_column_are_an_error(module: Write, cli: Cli) -> None:
    """Otherwise a run over them would be complete, and mean nothing."""
    name = module("from sqlalchemy import MetaData\nmetadata = MetaData()")
    entry(f"{name}:metadata")

    ran = cli("run")

    assert (ran.code, f"models {name}:metadata: names no column of an encrypted type" in ran.err) == (2, True)


UNFIT = {
    "a table": ("table = 'users'\ncolumns = ['email']\n", "a [[target]] with models takes no table and no columns"),
    "both kinds": ("django = 'project.settings'\n", "a [[target]] has models or django, not both"),
    "a typing error": ("optinal = true\n", "unknown setting `optinal`; did you mean `optional`?"),
}


@pytest.mark.parametrize(("more", "words"), UNFIT.values(), ids=UNFIT)
def test_other_settings_are_refused_by_name(module: Write, more: str, words: str) -> None:
    """What the models say is not said again."""
    entry(f"{module()}:Base", more=more)

    with pytest.raises(UsageError, match=r"^rotation\.toml, \[\[target\]\] 1: ") as caught:
        targets()

    assert words in str(caught.value)


def test_models_need_a_url_and_a_project_takes_none(module: Write) -> None:
    """Each is refused by name."""
    Path("rotation.toml").write_text(f'[[target]]\nmodels = "{module()}:Base"\n')
    with pytest.raises(UsageError, match="models needs a url"):
        targets()

    Path("rotation.toml").write_text('[[target]]\ndjango = "project.settings"\nurl = "sqlite:///app.db"\n')
    with pytest.raises(UsageError, match="django takes no url"):
        targets()


def test_the_code_sees_the_variables_of_the_dotenv_file(module: Write, capsys: pytest.CaptureFixture[str]) -> None:
    """While it is imported, and nobody else afterwards; what it prints goes to stderr."""
    name = module("import os\nprint('hello from', os.environ['OF_THE_APP'])\n" + MODELS)
    entry(f"{name}:Base")
    before = dict(os.environ)

    found = targets({"OF_THE_APP": "the app"})

    printed = capsys.readouterr()
    assert len(found) == 3
    assert (printed.out, printed.err) == ("", "hello from the app\n")
    assert dict(os.environ) == before


def test_the_folder_of_the_file_is_looked_at_first(
    module: Write, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler may start the command anywhere."""
    entry(f"{module()}:Base")
    config = Path("rotation.toml").resolve()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    with Context({}, config=config) as context:
        assert len(context.targets()) == 3


def test_an_entry_by_hand_and_models_are_one_target(module: Write) -> None:
    """If both say the same of a column; if they contradict each other, that is an error."""
    by_hand = '[[target]]\nurl = "sqlite:///app.db"\ntable = "users"\ncolumns = ["memo"]\n'
    name = module()

    entry(f"{name}:Base", more=by_hand)
    assert [each.label for each in targets()] == ["users.memo", "users.email", "partners.memo"]

    entry(f"{name}:Base", more=f'{by_hand}context = "other"\n')
    with pytest.raises(UsageError, match=r"users\.memo is named twice"):
        targets()


TYPED = """
import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from keyring_core.integrations.sqlalchemy import EncryptedText
from keyring_core.legacy import Legacy

class Base(DeclarativeBase):
    pass

class Own(sa.TypeDecorator):
    impl = EncryptedText
    cache_ok = True

class Person(Base):
    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    born = mapped_column(EncryptedText(True, of=sa.Date(), binary=True))
    paid = mapped_column(EncryptedText(of=sa.Numeric(10, 2), legacy=Legacy("advanced-alchemy", secret="$OLD")))
    seen = mapped_column(Own(of=sa.DateTime(timezone=True)))
"""


def test_columns_of_other_values_are_targets(module: Write) -> None:
    """With their options, also below a type of the application."""
    entry(f"{module(TYPED)}:Base")

    found = {each.label: each for each in targets({"OLD": "a secret of another package"})}

    assert [*found] == ["people.born", "people.paid", "people.seen"]
    assert found["people.born"].context == "people.born"
    assert repr(found["people.paid"].source) == "Legacy('advanced-alchemy', secret=$OLD)"
