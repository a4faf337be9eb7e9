"""What does not fit in rotation.toml is refused by its place, in plain words, and with the nearest name."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from keyring_core.legacy import Legacy
from rotation.configuration.config_file import read_config
from rotation.configuration.policy import Policy
from rotation.configuration.sections import SECTIONS, Declaration, LegacyEntry, TargetEntry
from rotation.configuration.settings import section_settings
from rotation.context import entries_of_apps
from rotation.model.failures import UsageError
from tests.conftest import Cli, Named

SECRET = "vT7qLm2xZr9KwP4s"
FIRST = '[[target]]\nurl = "sqlite:///app.db"\ntable = "creds"\ncolumns = ["token"]\n'

FAULTS = {
    "target": (
        f"{FIRST}[[target]]\ncolums = ['{SECRET}']\n",
        ", [[target]] 2: unknown setting `colums`; did you mean `columns`?",
    ),
    "a second one behind models": (
        f'[[target]]\nmodels = "a:B"\nurl = "$A"\n{FIRST}colunms = []\n',
        ", [[target]] 2: unknown setting `colunms`; did you mean `columns`?",
    ),
    "a name like a path": (
        f"{FIRST}'x - at `$.y`' = 1\n",
        ", [[target]] 1: unknown setting `x - at `$.y``; there are url, ",
    ),
    "a name like a path, inside": (
        f"{FIRST}from = {{ 'x - at `$.y`' = 1 }}\n",
        ", [[target]] 1 from: unknown setting `x - at `$.y``; there are package, ",
    ),
    "top": ("env_fil = '.env'\n", ": unknown setting `env_fil`; did you mean `env_file`?"),
    "a table at the top": ("[[targets]]\n", ": unknown setting `targets`; did you mean `target`?"),
    "capitals": ("ENV_FILE = '.env'\n", ": unknown setting `ENV_FILE`; did you mean `env_file`?"),
    "like none": ("zzz = 1\n", ": unknown setting `zzz`; there are env_file, ledger"),
    "policy": (
        "[policy]\nmax_key_aeg = '1d'\n",
        ", [policy]: unknown setting `max_key_aeg`; did you mean `max_key_age`?",
    ),
    "ignore": ("[[ignore]]\ntabel = 'x'\n", ", [[ignore]] 1: unknown setting `tabel`; did you mean `table`?"),
    "app": ("[[app]]\nnam = 'airflow'\n", ", [[app]] 1: unknown setting `nam`; did you mean `name`?"),
    "key set": ("[keys.redash]\nprimry = {}\n", ", [keys.redash]: unknown setting `primry`; did you mean `primary`?"),
    "key": (
        f"[keys.redash]\nprimary = {{ secrt = '{SECRET}' }}\n",
        ", [keys.redash] primary: unknown setting `secrt`; did you mean `secret`?",
    ),
    "previous key": (
        "[keys.redash]\nprimary = { secret = '$A' }\nprevious = [{ secret = '$B' }, { fil = 'x' }]\n",
        ", [keys.redash] previous 2: unknown setting `fil`; did you mean `file`?",
    ),
    "from": (
        f"{FIRST}from = {{ packge = 'x' }}\n",
        ", [[target]] 1 from: unknown setting `packge`; did you mean `package`?",
    ),
    "from without a secret": (
        f"{FIRST}from = {{ package = 'ormar' }}\n",
        ", [[target]] 1 from: `secret` is missing; add secret = ",
    ),
    "a text for true in from": (
        f"{FIRST}from = {{ package = 'ormar', secret = '$A', hkdf = '{SECRET}' }}\n",
        ", [[target]] 1 from: `hkdf` must be true or false, without quotes, such as false",
    ),
    "from that is no table": (
        f"{FIRST}from = '{SECRET}'\n",
        ", [[target]] 1: `from` must be a table, such as { package = ",
    ),
    "index": (
        f"{FIRST}index = {{ colum = 'x', context = 'y' }}\n",
        ", [[target]] 1 index: unknown setting `colum`; did you mean `column`?",
    ),
    "format": (
        f"{FIRST}format = '{SECRET}'\n",
        ", [[target]] 1: `format` is one of token, embedded, base64, hex",
    ),
    "models": ("[[target]]\nmodel = 'a:B'\n", ", [[target]] 1: unknown setting `model`; did you mean `models`?"),
    "a part of a previous key": (
        f"[keys.a]\nprimary = {{ secret = '$A' }}\nprevious = [{{ secret = '$B', salt = 7 }}, '{SECRET}']\n",
        ", [keys.a] previous 1: `salt` must be a text in quotes or a table, such as ",
    ),
    "a key that is no table": (
        f"[keys.a]\nprimary = {{ secret = '$A' }}\nprevious = ['{SECRET}']\n",
        ", [keys.a]: part 1 of `previous` must be a table, such as in [{ secret = ",
    ),
    "a text for a list": (
        FIRST.replace('["token"]', repr(SECRET)),
        '`columns` must be a list, such as ["api_key"]',
    ),
    "a part of a list": (
        FIRST.replace('"token"', '"token", 7'),
        '[[target]] 1: part 2 of `columns` must be a text in quotes, such as in ["api_key"]',
    ),
    "a number for a text or a list": (
        f"{FIRST}from = {{ package = 'djfernet', secret = '$A', salt = 7 }}\n",
        "[[target]] 1 from: `salt` must be a text in quotes or a list, such as ",
    ),
    "a text for true": (
        f"{FIRST}optional = '{SECRET}'\n",
        "`optional` must be true or false, without quotes, such as true",
    ),
    "a text for a number": (
        "[keys.a]\nprimary = { secret = '$A', iterations = '9' }\n",
        "[keys.a] primary: `iterations` must be a number, such as 600000",
    ),
    "no number": ("[policy]\nmax_key_age = 90\n", "[policy]: `max_key_age`: a length of time is written as 365d"),
    "one bracket": ("[target]\nurl = 'x'\n", ": `target` is written as [[target]], on a line of its own"),
    "two brackets": ("[[keys]]\nprimary = {}\n", ": `keys` is written as [keys.NAME], on a line of its own"),
    "a target that is no table": ("target = ['x']\n", ", [[target]] 1: must be a table"),
    "a set that is no table": ("[keys]\nprimary = 'x'\n", ", [keys.primary]: must be a table"),
    "missing": ("[[target]]\nurl = 'x'\n", ", [[target]] 1: `table` is missing; add table = "),
}


@pytest.mark.database
def test_a_fault_is_named_by_its_place(cli: Cli, tmp_path: Path, named: Named) -> None:
    """Exit code 2, one line, and no value of the file."""
    for name, (text, words) in FAULTS.items():
        with named(name):
            path = tmp_path / "rotation.toml"
            path.write_text(text)

            ran = cli("run", "--config", str(path))

            assert ran.code == 2
            assert f"{path}{words}" in ran.err or (not words.startswith((",", ":")) and words in ran.err), ran.err
            assert len(ran.err.splitlines()) == 1
            assert SECRET[:8] not in ran.err


SYNTAX = {
    "quote": ('url = "$A\n', "(line 1, column 10): the text in this line has no closing quote"),
    "backslash": ('url = "sqlite:///C:\\data\\app.db"\n', "put a Windows path or a pattern into 'single quotes'"),
    "backslash and U": ('url = "C:\\Users\\me"\n', "put a Windows path or a pattern into 'single quotes'"),
    "table twice": ("[policy]\n[policy]\n", "(line 2, column 8): this is there twice"),
    "target and targets": (f"{FIRST}[target]\n", "write [[target]], with two brackets"),
    "without quotes": ("ledger = $A\n", 'a value is a "text" in quotes'),
    "a length of time": ("[policy]\nmax_key_age = 30d\n", "a text stands in quotes as a whole"),
    "colon": ('url: "x"\n', 'a setting is written as name = "value"'),
    "bracket": ("[policy\n", "a closing bracket is missing"),
    "list": ('columns = ["a" "b"]\n', "a list lacks its closing ], or a comma"),
    "inline table": ('primary = { secret = "$A"\n', "a { table } lacks its closing }"),
    "no line": ("= 1\n", 'a line is name = "value", [policy] or [[target]]'),
    "three quotes": ('where = """a\n', "(at end of document): a text has no closing quotes"),
}


def test_a_file_that_is_no_toml_says_what_was_expected(tmp_path: Path, named: Named) -> None:
    """The line, the common cause and what to write."""
    for name, (text, words) in SYNTAX.items():
        with named(name):
            path = tmp_path / "rotation.toml"
            path.write_text(text)

            with pytest.raises(UsageError) as caught:
                read_config(path, entries_of_apps)

            assert str(caught.value).startswith(f"{path}: not TOML (")
            assert words in str(caught.value)


def test_every_setting_is_said(named: Named) -> None:
    """Each has words, an example that is TOML, and a default in words."""
    for name, kinds in SECTIONS.items():
        for setting, each in section_settings(*kinds).items():
            with named(f"{name} {setting}"):
                assert each.words
                assert each.default
                if not re.fullmatch(r"\[+[\w.]+\]+", each.example):
                    assert [*tomllib.loads(f"it = {each.example}")] == ["it"]


def test_the_settings_of_from_are_those_of_legacy() -> None:
    """The table takes what the class takes, with the same defaults."""
    fields = {each.name: each.default for each in dataclasses.fields(Legacy)}
    entry = msgspec.structs.fields(LegacyEntry)

    assert {each.name for each in entry} == fields.keys()
    assert [each.name for each in entry if not each.required and each.default != fields[each.name]] == []


def test_a_default_is_shown_as_it_is_written() -> None:
    """A length of time, a choice and a flag; a setting without which the file is refused is needed."""
    policy, target = section_settings(Policy), section_settings(TargetEntry, Declaration)

    assert policy["max_key_age"].default == "`365d`"
    assert policy["max_reload_age"].default == "`1h`"
    assert (target["format"].default, target["optional"].default) == ("`token`", "`false`")
    assert (target["table"].default, target["index"].default) == ("needed", "none")
