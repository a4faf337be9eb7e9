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

from keyring_core import (
    ComparisonError,
    KeyConfigError,
    Keyring,
    UndecryptableToken,
    config,
    environment,
    get_keyring,
    key_set,
)
from rotation import fleet
from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration
from rotation.context import Context
from rotation.declared.entries import declared_targets
from rotation.model.failures import UsageError
from tests.conftest import Cli
from tests.databases import Database, open_database
from tests.declared.django_project import Project, settings_of
from tests.declared.models import Write
from tests.keys import key_text, make_key

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
BESIDE = """
class Invoice(Base):
    __tablename__ = "invoices"
    id: Mapped[int] = mapped_column(primary_key=True)
    card: Mapped[str] = mapped_column(EncryptedText(keys="billing", context=True))
    email: Mapped[str] = mapped_column(EncryptedText())
    email_index: Mapped[str | None] = mapped_column(BlindIndexOf("email"))
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


def service(module: Write, app: Database, text: str = MODELS) -> ModuleType:
    """The models of a service, their tables, and rotation.toml, which names the models alone."""
    name = module(text)
    found = imported(name)
    found.Base.metadata.create_all(app.engine)
    Path("rotation.toml").write_text(f'[[target]]\nmodels = "{name}:Base"\nurl = "{app.url}"\n')
    return found


@pytest.fixture
def models(module: Write, app: Database, environ: dict[str, str]) -> ModuleType:
    """A service with rows that it has written."""
    found = service(module, app)
    with Session(app.engine) as session:
        session.add(found.Account(id=1, token="of the account"))
        session.add_all(found.Card(id=n, number=f"4242 {n}", number_index=f"4242 {n}", note="n") for n in (1, 2))
        session.commit()
    return found


@pytest.mark.database
def test_one_set_is_rotated_and_the_other_keys_stay(models: ModuleType, app: Database, cli: Cli) -> None:
    """Stage, promote, run, retire with --keys: the models go on reading, and no cell under another key is touched."""
    assert Keyring(BILLING).decrypt(app.column("cards", "note")[1]) == "n"
    with pytest.raises(UndecryptableToken):
        Keyring(OWN).decrypt(app.column("cards", "note")[1])
    account = app.column("accounts", "token")
    # `keys stage` makes the file.
    Path("billing_staged_key").unlink()

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
def test_an_index_under_other_keys_in_the_same_table_is_a_targets(
    module: Write, app: Database, environ: dict[str, str], cli: Cli
) -> None:
    """No command warns of it, and each set's previous key retires, with a target's own census and with all targets."""
    found = service(module, app, MODELS + BESIDE)
    with Session(app.engine) as session:
        session.add_all(found.Invoice(id=n, card=f"4242 {n}", email=f"{n}@b.c") for n in (1, 2))
        session.commit()

    looked, of_all = cli("status"), cli("run")
    steps = [cli("keys", step, "--keys", "billing") for step in ("stage", "promote")]
    ran, checked = cli("run"), cli("check")
    retired = cli("keys", "retire", BILLING.id, "--keys", "billing", "--no-archive")

    assert {each.code for each in (looked, of_all, *steps, ran, checked, retired)} == {0}, retired.out + retired.err
    assert "email_index" not in "".join(f"{each.out}{each.err}" for each in (looked, of_all, ran, checked, retired))


@pytest.mark.database
@pytest.mark.usefixtures("announcing")
def test_a_process_without_the_staged_key_holds_a_promotion_back(models: ModuleType, cli: Cli) -> None:
    """If it announces the keys of the set, as for the keys that are in none."""
    key_set("billing")()

    staged = cli("keys", "stage", "--keys", "billing")
    assert fleet.announce(keys="billing", instance="web-1")
    refused = cli("keys", "promote", "--keys", "billing")
    key_set("billing").reset()
    assert fleet.announce(keys="billing", instance="web-1")
    promoted = cli("keys", "promote", "--keys", "billing")

    assert (staged.code, refused.code, promoted.code) == (0, 1, 0)
    assert "web-1" in refused.out + refused.err
    assert "no service announces" not in refused.out + promoted.out


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
    service(module, app, MODELS.replace("EncryptedText()", 'EncryptedText(keys="billing")'))
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


@pytest.mark.database
def test_cells_are_not_copied_between_sets(models: ModuleType, app: Database) -> None:
    """A statement that copies a column as it is would leave tokens that the other set cannot open."""
    copy = sa.insert(models.Account).from_select(["id", "token"], sa.select(models.Card.id + 10, models.Card.note))

    with Session(app.engine) as session, pytest.raises(ComparisonError, match=r"accounts\.token"):
        session.execute(copy)


def test_no_output_replaces_a_key_file_of_a_set(tmp_path: Path) -> None:
    """Before any model is imported, the variables of every set protect the files that they name."""
    names = ("ENCRYPTION_KEY", "BILLING_ENCRYPTION_KEY", "X_ENCRYPTION_STAGED_KEY", "Y_ENCRYPTION_PREVIOUS_KEYS")
    environ = {f"{name}_FILE": str(tmp_path / name) for name in names} | {"SOME_KEY_FILE": "other"}

    assert {each.path.name for each in Context(environ).inputs.key_files()} == {*names}


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


DJANGO_MODELS = """
from django.db import models
from keyring_core.integrations.django import BlindIndexField, EncryptedTextField

class Account(models.Model):
    token = EncryptedTextField()

class Card(models.Model):
    number = EncryptedTextField(keys="billing", context=True)
    number_index = BlindIndexField(of="number", context="cards.number.index")
    note = EncryptedTextField(keys="billing", null=True)
    own = EncryptedTextField(null=True)
"""

DJANGO_FILL = """
from django.core.management import call_command
call_command("migrate", run_syncdb=True, verbosity=0)
Account.objects.create(token="of the account")
for number in (1, 2):
    Card.objects.create(number=f"4242 {number}", note="n", own="under no set")
found = None
"""

DJANGO_READ = """
found = {
    "accounts": [*Account.objects.values_list("token", flat=True)],
    "cards": [*map(list, Card.objects.order_by("pk").values_list("number", "note", "own"))],
    "by_index": [*Card.objects.filter(number_index="4242 2").values_list("pk", flat=True)],
}
"""

DJANGO_COPY = """
from django.db.models import F
from keyring_core import KeyringError
found = []
for copy in ({"note": F("own")}, {"own": F("note")}):
    try:
        Card.objects.update(**copy)
    except KeyringError as error:
        found.append(str(error))
"""


@pytest.mark.database
@pytest.mark.uncounted
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_django_project_rotates_one_set(kind: str, tmp_path: Path, environ: dict[str, str]) -> None:
    """`rotate_keys` takes the sets from the fields; what is not in the set stays, cell for cell."""
    with open_database(kind, tmp_path) as database:
        project = Project(tmp_path / "app", {"default": settings_of(database.url)}, environ).write()
        (project.folder / "shop/models.py").write_text(DJANGO_MODELS)
        project.python(DJANGO_FILL)
        before, own = project.python(DJANGO_READ), database.column("shop_card", "own")
        accounts = database.column("shop_account")

        copied = project.python(DJANGO_COPY)
        steps = [project.manage("rotate_keys", "keys", *step, "--keys", "billing") for step in (["stage"], ["promote"])]
        ran = project.manage("rotate_keys", "--json")
        retire = ["keys", "retire", BILLING.id, "--keys", "billing", "--no-archive"]
        retired = project.manage("rotate_keys", *retire)

        assert [step.code for step in (*steps, ran, retired)] == [0] * 4, retired.err
        assert len(copied) == 2
        assert sum(target["rotated"] for target in ran.document["targets"]) == 4
        assert (database.column("shop_card", "own"), database.column("shop_account")) == (own, accounts)
        assert project.python(DJANGO_READ) == before
        assert before["cards"] == [[f"4242 {number}", "n", "under no set"] for number in (1, 2)]
        assert before["by_index"] == [2]
        listed = project.manage("rotate_keys", "keys", "list", "--keys", "billing", "--json").document["keys"]
        assert {key["id"]: key["state"] for key in listed}[BILLING.id] == "retired"


@pytest.mark.database
def test_manage_check_knows_the_sets_of_fields(tmp_path: Path, environ: dict[str, str]) -> None:
    """A missing key has the name of its variable; a project whose fields all have sets needs no other key."""
    with open_database("sqlite", tmp_path) as database:
        project = Project(tmp_path / "app", {"default": settings_of(database.url)}, environ).write()
        text = DJANGO_MODELS.replace("EncryptedTextField()", 'EncryptedTextField(keys="sales")')
        (project.folder / "shop/models.py").write_text(text.replace("    own = EncryptedTextField(null=True)\n", ""))
        del environ["ENCRYPTION_KEY"]
        missing = project.manage("check")
        environ["SALES_ENCRYPTION_KEY"] = key_text("sales")
        found = project.manage("check")
        environ["SALES_ENCRYPTION_KEY"] = "short"
        malformed = project.manage("check")

    assert "(keyring_core.W001) SALES_ENCRYPTION_KEY is not set" in missing.err
    assert "ENCRYPTION_KEY is not set" not in missing.err.replace("SALES_ENCRYPTION_KEY is", "")
    assert "W001" not in found.err
    assert "(keyring_core.E001) SALES_ENCRYPTION_KEY: " in malformed.err
