"""Models with key sets of their own: what they write, and the rotation of one set that leaves the other keys alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from keyring_core import KeyConfigError, Keyring, UndecryptableToken, config, environment, get_keyring, key_set
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration
from rotation.context import Context
from rotation.declared.entries import declared_targets
from rotation.model.failures import UsageError
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.declared.models import Write
from tests.keys import make_key

MODELS = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from keyring_core.integrations.sqlalchemy import BlindIndexOf, EncryptedText

class Base(DeclarativeBase):
    pass

class Account(Base):
    __tablename__ = "accounts"
    id: Mapped[int] = mapped_column(primary_key=True)
    token: Mapped[str] = mapped_column(EncryptedText())

class Card(Base):
    __tablename__ = "cards"
    id: Mapped[int] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(EncryptedText(keys="billing", context=True))
    number_index: Mapped[str] = mapped_column(BlindIndexOf("number", "cards.number.index"))
    note: Mapped[str | None] = mapped_column(EncryptedText(keys="billing"))
"""
OWN, BILLING = make_key("own"), make_key("billing")


@pytest.fixture(autouse=True)
def no_set_yet(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The sets of other tests are not those of this process."""
    monkeypatch.setattr(config, "_key_sets", {})
    monkeypatch.setattr(environment, "_sets", {})
    get_keyring.reset()
    yield
    get_keyring.reset()


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """The application's database."""
    with open_database(request.param, tmp_path) as database:
        yield database


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """One key in a variable, and the set's keys in files; services and keyring-rotate have both."""
    found = {"ENCRYPTION_KEY": OWN.reveal(), "ROTATION_LEDGER_URL": f"sqlite:///{tmp_path}/ledger.db"}
    for name, text in (("KEY", BILLING.reveal()), ("PREVIOUS_KEYS", ""), ("STAGED_KEY", "")):
        path = tmp_path / f"billing_{name.lower()}"
        path.touch(0o600)
        path.write_text(text)
        found[f"BILLING_ENCRYPTION_{name}_FILE"] = str(path)
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return found


def imported(name: str) -> ModuleType:
    """A module in the current folder, as a service finds it; the fixture `module` forgets the folder."""
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


@pytest.fixture
def models(module: Write, app: Database, environ: dict[str, str]) -> ModuleType:
    """The models of a service with rows that it has written, and rotation.toml, which names the models alone."""
    name = module(MODELS)
    found = imported(name)
    found.Base.metadata.create_all(app.engine)
    with Session(app.engine) as session:
        session.add(found.Account(id=1, token="of the account"))
        session.add_all(found.Card(id=n, number=f"4242 {n}", number_index=f"4242 {n}", note="n") for n in (1, 2))
        session.commit()
    Path("rotation.toml").write_text(f'[[target]]\nmodels = "{name}:Base"\nurl = "{app.url}"\n')
    return found


@pytest.mark.database
def test_one_set_is_rotated_and_the_other_keys_stay(models: ModuleType, app: Database, cli: Cli) -> None:
    """Stage, promote, run, retire with --keys: the models go on reading, and no cell under another key is touched."""
    assert Keyring(BILLING).decrypt(app.column("cards", "note")[1]) == "n"
    with pytest.raises(UndecryptableToken):
        Keyring(OWN).decrypt(app.column("cards", "note")[1])
    account = app.column("accounts", "token")

    staged = cli("keys", "stage", "--keys", "billing")
    promoted = cli("keys", "promote", "--keys", "billing")
    key_set("billing").reset()
    with Session(app.engine) as session:
        session.add(models.Card(id=3, number="of the new key", number_index="of the new key"))
        session.commit()
    ran = cli("run", "--json")
    refused = cli("keys", "retire", OWN.id, "--keys", "billing", "--no-archive")
    retired = cli("keys", "retire", BILLING.id, "--keys", "billing", "--no-archive")
    key_set("billing").reset()

    assert (staged.code, promoted.code, ran.code, retired.code) == (0, 0, 0, 0), staged.err + promoted.err + retired.err
    assert refused.code == 2
    new = key_set("billing")()
    assert [*new.states] == [new.primary]
    assert new.primary != BILLING
    assert sum(target["rotated"] for target in ran.document["targets"]) == 4
    assert app.column("accounts", "token") == account
    with Session(app.engine) as session:
        numbers = session.scalars(sa.select(models.Card.number).order_by(models.Card.id)).all()
        found = session.scalars(sa.select(models.Card.id).where(models.Card.number_index == "4242 2")).all()
        assert numbers == ["4242 1", "4242 2", "of the new key"]
        assert found == [2]
        assert session.scalar(sa.select(models.Account.token)) == "of the account"
    assert cli("keys", "list", "--keys", "billing").out.count("primary") == 1
    assert OWN.id in cli("keys", "list").out


@pytest.mark.database
def test_status_and_check_know_the_set(models: ModuleType, cli: Cli) -> None:
    """Each part of a report is of one set, by its name; a mode of a key file that is too wide is found, too."""
    Path("billing_key").chmod(0o644)

    status, check = cli("status", "--json"), cli("check", "--json")

    assert status.code == 0, status.err
    assert {target["keys"] for target in status.document["targets"]} == {None, "billing"}
    assert any("BILLING_ENCRYPTION_KEY_FILE" in str(finding) for finding in check.document["findings"])


@pytest.mark.database
def test_a_set_without_a_key_stops_a_run(models: ModuleType, cli: Cli, environ: dict[str, str]) -> None:
    """It names the variable that services read; nothing of any set is rotated with half of the keys."""
    del environ["BILLING_ENCRYPTION_KEY_FILE"]

    ran, listed = cli("run"), cli("keys", "list", "--keys", "billing")

    assert ran.code == 2
    assert "BILLING_ENCRYPTION_KEY: not set." in ran.err
    assert listed.code == 2
    assert "rotation.toml has no [keys.billing], and BILLING_ENCRYPTION_KEY is not set; there are none" in listed.err


@pytest.mark.database
def test_rotation_toml_may_say_where_the_keys_are(models: ModuleType, cli: Cli, environ: dict[str, str]) -> None:
    """A [keys.billing] of the file counts, and then the variables of services do not."""
    for name in list(environ):
        if name.startswith("BILLING"):
            del environ[name]
    environ["OF_THE_VAULT"] = BILLING.reveal()
    with Path("rotation.toml").open("a") as file:
        file.write('[keys.billing]\nprimary = { secret = "$OF_THE_VAULT" }\n')

    status = cli("status", "--json")

    assert status.code == 0, status.err
    assert status.document["complete"]


@pytest.mark.database
def test_the_only_set_of_models_needs_no_name(app: Database, module: Write, cli: Cli, environ: dict[str, str]) -> None:
    """If no column is under a key of the environment's own, and none is set, `keys list` takes the set."""
    name = module(MODELS.replace("EncryptedText()", 'EncryptedText(keys="billing")'))
    Path("rotation.toml").write_text(f'[[target]]\nmodels = "{name}:Base"\nurl = "{app.url}"\n')
    del environ["ENCRYPTION_KEY"]

    listed = cli("keys", "list")

    assert listed.code == 0, listed.err
    assert BILLING.id in listed.out


@pytest.mark.database
def test_discover_tells_tokens_of_a_set_that_only_models_name(models: ModuleType, app: Database, cli: Cli) -> None:
    """They are not tokens that no key opens, and the entry for them has the set's name."""
    app.execute("CREATE TABLE copies (id INTEGER PRIMARY KEY, note TEXT)")
    app.insert("copies", [{"id": 1, "note": app.column("cards", "note")[1]}])

    found = cli("discover", "--json")

    [copy] = [each for each in found.document["columns"] if each["table"].endswith("copies")]
    assert copy["unknown"] == 0
    assert 'keys = "billing"' in found.document["targets"]


def test_no_output_replaces_a_key_file_of_a_set(tmp_path: Path) -> None:
    """Before any model is imported, the variables of every set protect the files that they name."""
    names = ("ENCRYPTION_KEY", "BILLING_ENCRYPTION_KEY", "X_ENCRYPTION_STAGED_KEY", "Y_ENCRYPTION_PREVIOUS_KEYS")
    environ = {f"{name}_FILE": str(tmp_path / name) for name in names} | {"SOME_KEY_FILE": "other"}

    assert {each.path.name for each in Context(environ).key_files()} == {*names}


def test_an_entry_and_a_model_cannot_name_two_sets() -> None:
    """The same name twice says nothing new; a model without one has the entry's."""
    source = Declaration(models="app:Base", url="sqlite:///app.db", keys="sales")
    with pytest.raises(UsageError, match=r'app:Base: the entry has keys = "sales", and the model of cards\.number has'):
        declared_targets([DeclaredColumn(source, "cards", "number", keys="billing")], {})

    made = declared_targets([DeclaredColumn(source, "cards", name, keys=keys) for name, keys in CASES], {})
    assert [target.keys for target in made] == ["sales", "sales"]


CASES = (("number", "sales"), ("note", None))


def test_a_misspelt_set_of_an_entry_is_named() -> None:
    """A model may name any set; an entry that a person typed has to be of a set that there is."""
    with pytest.raises(UsageError, match=r"has no \[keys\.bilingg\], and BILINGG_ENCRYPTION_KEY is not set"):
        Context({"BILLING_ENCRYPTION_KEY": "x"}).with_keys("bilingg")
    with pytest.raises(UsageError, match=r"--keys: rotation\.toml has no \[keys\.two words\]; there are none"):
        Context({}).with_keys("two words")


def test_two_models_cannot_have_sets_with_the_same_variables(module: Write) -> None:
    """The second one does not load: its rows would be under the first one's key."""
    name = module(MODELS.replace('keys="billing"', 'keys="billing-eu"', 1).replace('"billing"', '"billing_eu"'))

    with pytest.raises(KeyConfigError, match="billing-eu and billing_eu would both read BILLING_EU_ENCRYPTION_KEY"):
        imported(name)
