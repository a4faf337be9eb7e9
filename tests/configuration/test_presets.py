"""Presets: each is well-formed, and becomes entries of rotation.toml."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from rotation.applications.presets import (
    FOLDER,
    load_preset,
    preset_names,
    presets_of,
    recognised,
    recognised_steps,
)
from rotation.configuration.config_file import read_config
from rotation.configuration.key_sets import KeySet
from rotation.configuration.key_sources import KeySource
from rotation.configuration.targets import fault_of
from rotation.context import entries_of_apps
from rotation.model.failures import UsageError
from rotation.model.next_steps import PLAIN
from tests.conftest import Named

NAMES = preset_names()
WANTED = {
    *("airflow", "superset", "redash", "prefect", "langflow", "open-webui", "pulp", "galaxy", "jupyterhub", "keystone"),
    *("barbican", "mathesar", "plane", "posthog", "phoenix", "heat", "open-edx", "frappe", "autogpt", "openmetadata"),
}
PARAMETERS = {"pbkdf2-sha256": {"salt", "iterations"}, "hkdf-sha256": {"info"}}
VERSION = re.compile(r"\d\.\d|\bcommit [0-9a-f]{7}")
KINDS = {"raw", "raw-unpadded", "sha256", "text32", "text32-doubled", "text32-zeros", *PARAMETERS}


def test_the_wanted_applications_are_there() -> None:
    """At least those, and in order."""
    assert set(NAMES) >= WANTED
    assert list(NAMES) == sorted(NAMES)


def test_every_target_is_well_formed(named: Named) -> None:
    """Its key set exists, no column stands there twice for the same rows, and its condition is accepted."""
    for name in NAMES:
        with named(name):
            preset = load_preset(name)
            seen = [(target.table, column, target.where) for target in preset.target for column in target.columns]

            assert len(set(seen)) == len(seen)
            assert all(target.columns for target in preset.target)
            assert {target.keys for target in preset.target} == set(preset.keys)
            for database in ("postgresql", "mysql", "sqlite"):
                assert not [each.where for each in preset.target if each.where and fault_of(each.where, database)]


def test_every_key_set_is_well_formed(named: Named) -> None:
    """A secret is a variable or in a cell, a derivation has its parameters, and only a staged preset stages a key."""
    for name in NAMES:
        with named(name):
            preset = load_preset(name)
            for keys in preset.keys.values():
                roles = [state for state, _, _ in keys.sources()]
                assert roles[:1] == ["primary"]
                assert "previous" in roles or keys.primary.cell
                assert ("staged" in roles) == (preset.way == "staged")
                for _, _, key in keys.sources():
                    given = {name for name in ("salt", "info", "iterations") if getattr(key, name) is not None}
                    assert re.fullmatch(r"\$[A-Z][A-Z0-9_]*", key.secret or "") or key.keys in preset.keys
                    assert key.derive in KINDS
                    assert given - {"salt"} == PARAMETERS.get(key.derive, set()) - {"salt"}
                    assert ("salt" in given) >= ("salt" in PARAMETERS.get(key.derive, set()))


def test_every_setting_takes_what_the_way_needs(named: Named) -> None:
    """A staged application takes several keys; one that knows a single key is rotated offline."""
    for name in NAMES:
        with named(name):
            preset = load_preset(name)
            assert {setting.form == "one" for setting in preset.setting} == {preset.way == "offline"}
            assert {preset.key_set(setting) for setting in preset.setting} <= set(preset.keys)


def test_every_mark_is_a_place_of_tokens(named: Named) -> None:
    """A table that recognises the application holds one of its targets, and that target is there in every version.

    If it is in a schema on one database and in none on another, both are optional.
    """
    for name in NAMES:
        with named(name):
            preset = load_preset(name)
            targets = {(target.table, column) for target in preset.target for column in target.columns}
            marks = {(table, column) for table, columns in preset.recognise.items() for column in columns}

            assert targets & marks
            tables = {target.table for target in preset.target}
            both = any(table.rpartition(".")[2] in tables for table in tables if "." in table)
            assert both or any(not target.optional for target in preset.target)


def test_the_words_are_sentences(named: Named) -> None:
    """What is printed and put on a page ends as a sentence."""
    for name in NAMES:
        with named(name):
            preset = load_preset(name)
            sentences = [
                *preset.limits,
                preset.wrong_key,
                *(step.do for step in (preset.make, *preset.before, *preset.after)),
            ]

            assert [words for words in sentences if not words.endswith(".")] == []
            assert [words for words in (preset.holds, *preset.unverified, *preset.source) if words.endswith(".")] == []


def test_every_preset_says_what_it_was_read_in(named: Named) -> None:
    """The day on which its sources were read, and versions or commits: a later version may have more columns."""
    for name in NAMES:
        with named(name):
            preset = load_preset(name)

            assert preset.versions
            assert [each for each in preset.versions if not VERSION.search(each) or "source of" in each] == []


def test_no_preset_holds_a_key() -> None:
    """No file has 43 characters that could be one, but for a salt that is public."""
    public = "phoenix-database-encryption-a5d354120d50240ac80b74f56d09b363"
    found = {path.name: re.findall(r"[A-Za-z0-9_-]{43,}", path.read_text()) for path in FOLDER.iterdir()}

    allowed = {public, *(target.table for name in NAMES for target in load_preset(name).target)}
    assert {name: set(texts) - allowed for name, texts in found.items() if set(texts) - allowed} == {}


def test_an_unknown_name_gets_the_nearest() -> None:
    """A mistyped name is refused with the one that was meant, and with how to see all."""
    with pytest.raises(UsageError, match=r"'redahs'; did you mean redash\?; to list all: keyring-rotate init --app"):
        load_preset("redahs")


def test_an_application_is_recognised_by_its_own_tables(named: Named) -> None:
    """By its own, in a schema or not, and by nobody else's."""
    for name in NAMES:
        with named(name):
            preset = load_preset(name)
            tables = {
                f"public.{table.rpartition('.')[2]}": [*columns, "id"] for table, columns in preset.recognise.items()
            }

            assert recognised(tables) == [preset.name]
            assert recognised(dict(list(tables.items())[1:])) == []


def test_discover_says_what_to_type() -> None:
    """The line names the application and the command, with the url as it was written."""
    line = "These tables are Apache Airflow's: keyring-rotate init --app airflow"
    tables = load_preset("airflow").recognise
    assert [*map(PLAIN.line, recognised_steps(tables, "$DB"))] == [f"{line} --url '$DB'"]
    assert [*map(PLAIN.line, recognised_steps(tables))] == [line]


def test_an_app_becomes_targets_keys_and_ignored_columns(tmp_path: Path) -> None:
    """They stand behind the file's own."""
    path = tmp_path / "rotation.toml"
    path.write_text('[[target]]\nurl = "$X"\ntable = "t"\ncolumns = ["c"]\n[[app]]\nname = "langflow"\nurl = "$DB"\n')

    own, *targets = read_config(path, entries_of_apps).targets({"X": "sqlite:///x.db", "DB": "sqlite:///db.db"})

    preset = load_preset("langflow")
    assert (own.table, own.keys) == ("t", None)
    expected = [(target.table, column) for target in preset.target for column in target.columns]
    assert [(target.table, target.column) for target in targets] == expected
    assert {(target.written, target.keys) for target in targets} == {("$DB", "langflow")}
    assert read_config(path, entries_of_apps).key_sets() == preset.keys
    [ignored] = read_config(path, entries_of_apps).ignores
    assert (ignored.table, ignored.columns) == ("sso_config", ("client_secret_encrypted",))


def test_a_target_says_what_it_needs_and_no_more() -> None:
    """Settings that have their default are left out; a table that a version may lack is optional."""
    [preset] = presets_of([{"name": "airflow", "url": "$DB"}])
    first, *_, last = msgspec.to_builtins(preset.target)

    assert first == {"url": "$DB", "table": "connection", "columns": ("password", "extra"), "keys": "airflow"}
    assert last == {
        "url": "$DB",
        "table": "xcom",
        "columns": ("value",),
        "format": "embedded",
        "keys": "airflow",
        "optional": True,
    }


def test_a_key_set_of_the_file_wins(tmp_path: Path) -> None:
    """Somebody whose secret is derived in another way writes the set, and keeps the rest of the preset."""
    path = tmp_path / "rotation.toml"
    mine = '[keys.open-webui]\nprimary = { secret = "$MINE" }\n'
    path.write_text(f'[[app]]\nname = "open-webui"\nurl = "$DB"\n{mine}')

    made = read_config(path, entries_of_apps).key_sets()

    assert made["open-webui"] == KeySet(KeySource("$MINE"))
    assert set(made) == {"open-webui", "open-webui-mfa", "open-webui-apps"}


@pytest.mark.parametrize(
    ("apps", "words"),
    [
        ([{"name": "airflwo", "url": "$DB"}], "did you mean airflow?"),
        ([{"name": "airflow"}], "[[app]] 1: `url` is missing; add url = "),
        ([{"name": "airflow", "url": "$DB", "secret": "hunter2"}], "unknown setting `secret`; there are name, url"),
        ([{"name": "airflow", "url": "$DB"}] * 2, "twice, with the same url"),
    ],
    ids=["unknown", "no url", "unknown field", "twice"],
)
def test_an_app_that_does_not_fit_is_refused(apps: list[dict[str, str]], words: str) -> None:
    """The message says why, and quotes no value."""
    with pytest.raises(ValueError, match=re.escape(words)) as refused:
        presets_of(apps)

    assert "hunter2" not in str(refused.value)


def test_every_variable_is_explained(named: Named) -> None:
    """The url, the secrets and the salts that are variables, each with what goes in."""
    for name in NAMES:
        with named(name):
            preset = load_preset(name)
            variables = preset.variables()
            sources = [key for keys in preset.keys.values() for _, _, key in keys.sources()]
            secrets = {key.place for key in sources if not key.cell}

            assert {name.removeprefix("$") for name in (preset.url, *secrets)} <= set(variables)
            assert all(variables.values())
