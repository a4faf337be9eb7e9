"""The JSON schemas are what the code gives, and each command's document is what its schema says."""

from __future__ import annotations

import copy
import json
import re
import runpy
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from rotation.cli.main import cli as commands
from rotation.configuration.config_file import read_config
from rotation.context import entries_of_apps
from tests.configuration.test_settings import FAULTS
from tests.conftest import Cli, Named
from tests.databases import open_database
from tests.fakes import token
from tests.lifecycle.shop import NEW, OLD, OLDER, Shop

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
TOML = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "docs").rglob("rotation.toml"))} | {
    f"{page.relative_to(ROOT)}, block {number}": block
    for page in PAGES
    for number, block in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL), 1)
}


@cache
def validator(name: str) -> Draft202012Validator:
    """The schema called *name*, as the package has it."""
    schema = json.loads((files("rotation") / "schemas" / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def faults(name: str, document: Any) -> list[str]:
    """What is wrong with *document*."""
    return [f"{each.json_path}: {each.message[:200]}" for each in validator(name).iter_errors(document)]


def test_the_schemas_are_what_the_code_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python .ci/schemas.py` changes nothing."""
    monkeypatch.syspath_prepend(ROOT / ".ci")
    script = runpy.run_path(str(ROOT / ".ci" / "schemas.py"))

    made = script["schemas"]()

    assert {path: path.read_text() for path in made} == made
    assert {*script["FOLDER"].iterdir()} == {*made}


def test_everything_has_a_description() -> None:
    """Each setting and each field says what it means."""
    paths = [path for path in (ROOT / "rotation" / "schemas").iterdir() if path.suffix == ".json"]

    assert len(paths) > 10
    assert [path.name for path in paths if any(_undescribed(json.loads(path.read_text())))] == []


def _undescribed(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        properties = schema.get("properties", {})
        yield from (name for name, each in properties.items() if not each.get("description", "").endswith("."))
        yield from (found for each in schema.values() for found in _undescribed(each))


def test_a_rotation_toml_of_the_documents_fits(named: Named) -> None:
    """Every TOML that a page shows, and every sample file."""
    for place, text in TOML.items():
        with named(place):
            assert faults("rotation.toml", tomllib.loads(text)) == []


def test_what_a_command_refuses_does_not_fit(named: Named) -> None:
    """An editor marks what a command would refuse."""
    for name, (text, _) in FAULTS.items():
        with named(name):
            assert faults("rotation.toml", tomllib.loads(text))


EVERYTHING = """
env_file = ".env"
ledger = "$DATABASE_URL"
models = ["app.models:Base.metadata"]
django = "site.settings"
[[target]]
url = "$DATABASE_URL"
table = "public.users"
columns = ["api_key"]
name = "users"
key_columns = ["id"]
where = "id > 3"
context = "users.api_key"
keys = "redash"
optional = true
index = { column = "hash", context = "users.email" }
set = { key_hash = "primary-key-id" }
[[target]]
url = "$DATABASE_URL"
table = "old"
columns = ["secret"]
from = { package = "sqlalchemy-utils", secret = ["$OLD", "$OLDER"], engine = "aes", check = "json", padding = "naive" }
[[target]]
models = "app.models:Base.metadata"
url = "$DATABASE_URL"
[[target]]
django = "site.settings"
[[app]]
name = "airflow"
url = "$AIRFLOW"
[keys.redash]
primary = { secret = "$A", derive = "pbkdf2-sha256", salt = "s", iterations = 9 }
staged = { file = "/run/secrets/next" }
previous = [{ command = "vault kv get key" }, { secret = "${B}", derive = "hkdf-sha256", info = "i" }]
[policy]
max_key_age = "90d"
off = { plaintext = "until May" }
[[ignore]]
table = "billing"
reason = "theirs"
"""


def test_every_setting_fits(tmp_path: Path) -> None:
    """A file with all of them is read by the code, and fits the schema."""
    path = tmp_path / "rotation.toml"
    path.write_text(EVERYTHING)

    assert read_config(path, entries_of_apps).policy.off == {"plaintext": "until May"}
    assert faults("rotation.toml", tomllib.loads(EVERYTHING)) == []


@pytest.fixture(params=["sqlite", "postgresql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """An environment with tokens under two keys, and cells of each kind."""
    with open_database(request.param, tmp_path) as database:
        shop = Shop(tmp_path, database)
        shop.fill([token("old"), token("older"), token("unknown"), token("old")[:64], "hunter2 " * 9, "", None])
        yield shop


def document(shop: Shop, *argv: str) -> Any:
    """The document that the command prints."""
    return json.loads(shop.rotate(*argv, "--json").out)


def test_documents_about_tokens(shop: Shop) -> None:
    """Those of run, status, adopt, check, discover, report and of the file of problems."""
    assert faults("run", document(shop, "status")) == []
    assert faults("discover", document(shop, "discover", "--full")) == []
    assert faults("run", document(shop, "adopt")) == []
    problems = shop.folder / "problems.jsonl"
    assert faults("run", document(shop, "run", "--problems", str(problems))) == []
    lines = problems.read_text().splitlines()
    assert len(lines) == 3
    assert [fault for line in lines for fault in faults("problems", json.loads(line))] == []
    assert faults("check", document(shop, "check")) == []
    assert faults("check-list", document(shop, "check", "--list")) == []
    assert faults("report", document(shop, "report", "--html", str(shop.folder / "page.html"))) == []


def test_documents_about_keys(shop: Shop) -> None:
    """Those of each step, done, refused and left to a person, of the list before and after, and the certificate."""
    bare = document(shop, "keys", "list")
    assert faults("keys-list", bare) == []
    assert faults("keys-key", document(shop, "keys", "generate")) == []
    shop.database.execute("DELETE FROM creds WHERE id > 2")
    assert faults("keys-step", document(shop, "keys", "stage")) == []
    assert faults("keys-step", document(shop, "keys", "promote")) == []
    refused = document(shop, "keys", "retire", OLD.id, "--no-archive")
    assert refused["refused"]
    assert faults("keys-step", refused) == []
    assert document(shop, "run")["complete"]
    assert faults("keys-step", document(shop, "keys", "suspend", OLD.id)) == []
    suspended = document(shop, "keys", "list")
    assert {key["state"] for key in suspended["keys"]} == {"primary", "previous", "suspended"}
    assert faults("keys-list", suspended) == []
    assert faults("keys-step", document(shop, "keys", "resume", OLD.id)) == []
    proof, archive = shop.folder / "proof.json", str(shop.folder / "old.keys")
    retired = document(shop, "keys", "retire", OLD.id, "--certificate", str(proof), "--archive", archive)
    assert retired["complete"]
    assert faults("keys-step", retired) == []
    assert faults("certificate", json.loads(proof.read_text())) == []
    listed = document(shop, "keys", "list")
    assert {key["state"] for key in listed["keys"]} == {"primary", "previous", "retired"}
    assert faults("keys-list", listed) == []
    assert faults("keys-step", document(shop, "keys", "restore", OLD.id, "--archive", archive)) == []


def test_documents_about_several_key_sets(shop: Shop) -> None:
    """Each key of `run` has its key set, and each of `check` its service."""
    shop.database.execute("DELETE FROM creds WHERE id > 2")
    other = shop.config.read_text().replace("[[target]]", '[[target]]\nname = "other"\nwhere = "id = 2"\nkeys = "b"')
    sets = '[keys.b]\nprimary = { secret = "$B" }\n'
    shop.config.write_text(shop.config.read_text().replace("[[target]]", '[[target]]\nwhere = "id = 1"') + other + sets)
    shop.write_env(f"{shop.env_file.read_text()}B={NEW.reveal()}\n")

    found = document(shop, "status")
    assert [key.get("set") for key in found["keys"]] == [None, None, "b"]
    assert faults("run", found) == []
    assert faults("check", document(shop, "check")) == []


def test_a_step_back(shop: Shop) -> None:
    """The document names the step of a key that becomes primary again."""
    shop.database.execute("DELETE FROM creds WHERE id > 2")

    back = document(shop, "keys", "promote", OLDER.id)

    assert back["step"] == "go back"
    assert faults("keys-step", back) == []


def test_a_step_that_is_left_to_a_person(shop: Shop) -> None:
    """With the keys in the environment, the document has what to store, and the value only if it is asked for."""
    environ = {"ENCRYPTION_KEY": NEW.reveal(), "ENCRYPTION_PREVIOUS_KEYS": OLDER.reveal()}

    for more in ([], ["--show-key"]):
        done = json.loads(shop.keys("stage", "--json", *more, environ=environ).out)
        assert done["todo"]
        assert faults("keys-step", done) == []


def test_documents_of_other_commands(shop: Shop) -> None:
    """Those of ledger init and of a command that fails."""
    assert faults("ledger-init", document(shop, "ledger", "init")) == []
    assert faults("ledger-sql", document(shop, "ledger", "init", "--sql")) == []
    assert faults("error", document(shop, "run", "--gentle", "--full-speed")) == []
    assert faults("check-error", document(shop, "check", "--nosuch")) == []
    assert faults("error", document(shop, "run", "--nosuch")) == []


def test_documents_that_begin(cli: Cli, tmp_path: Path) -> None:
    """Those of demo, of init with and without an application, of its setting, and for a service of one's own."""
    config = str(tmp_path / "rotation.toml")

    # The document of a demo itself: tests/cli/test_demo.py compares.
    assert faults("demo", {"complete": True}) == []
    assert faults("demo", cli("demo", "--keep", str(tmp_path / "kept"), "--json").document) == []
    assert faults("init", cli("init", "--app", "airflow", "--config", config, "--json").document) == []
    assert faults("init", cli("init", "--app", "--json").document) == []
    listed = cli(
        "keys", "list", "--format", "airflow", "--config", config, "--json", environ={"AIRFLOW_KEY": OLD.reveal()}
    )
    assert faults("keys-setting", listed.document) == []
    url, new = f"sqlite:///{tmp_path / 'kept' / 'app.db'}", str(tmp_path / "new.toml")
    begun = cli("init", "--url", url, "--config", new, "--json").document
    assert faults("init", begun) == []
    assert begun["targets"]


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_document_that_lacks_or_adds_a_field_does_not_fit(database: Any, tmp_path: Path) -> None:
    """The schemas are strict, in what is inside, too."""
    shop = Shop(tmp_path, database)
    shop.fill([token("old")])
    right = document(shop, "status")
    wrong = []
    for change in (
        lambda it: it.pop("complete"),
        lambda it: it.update(extra=1),
        lambda it: it["targets"][0].pop("under"),
        lambda it: it["targets"][0].update(scanned="1"),
        lambda it: it["keys"][0].update(state="gone"),
    ):
        changed = copy.deepcopy(right)
        change(changed)
        wrong.append(changed)

    assert faults("run", right) == []
    assert all(faults("run", each) for each in wrong)


def test_every_command_that_prints_json_has_a_schema() -> None:
    """A new command needs one: its name stands in the title of a schema."""
    titles = " ".join(validator(path.name.removesuffix(".schema.json")).schema["title"] for path in _paths())
    groups = {name: getattr(command, "commands", {"": command}) for name, command in commands.commands.items()}
    every = {f"{group} {name}".strip(): each for group, them in groups.items() for name, each in them.items()}
    names = [name for name, each in every.items() if any("--json" in option.opts for option in each.params)]

    assert [name for name in names if f"`{name}`" not in titles] == []


def _paths() -> list[Path]:
    return sorted((ROOT / "rotation" / "schemas").glob("*.json"))
