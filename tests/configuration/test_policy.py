"""`[policy]` of rotation.toml, and what it refuses."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest

from rotation.configuration.config_file import read_config
from rotation.configuration.policy import Duration, LeftOut, Policy
from rotation.context import entries_of_apps
from rotation.model.failures import UsageError
from rotation.model.text import span
from tests.conftest import Named
from tests.warm.client import run

TARGET = '[[target]]\nurl = "sqlite:///app.db"\ntable = "creds"\ncolumns = ["token"]\n'


def policy(text: str, folder: Path) -> Policy:
    """The policy of a rotation.toml that holds *text*."""
    path = folder / "rotation.toml"
    path.write_text(TARGET + text)
    read_config(path, entries_of_apps).targets({})
    return read_config(path, entries_of_apps).policy


def test_without_a_policy_the_limits_are_the_usual_ones(tmp_path: Path) -> None:
    """A rotation.toml need not name any."""
    assert policy("", tmp_path) == Policy()


def test_a_policy_sets_limits_and_turns_checks_off(tmp_path: Path) -> None:
    """Each unit of time, and a check that is off with its reason."""
    found = policy(
        '[policy]\nmax_key_age = "52w"\nwarn_before = "12h"\nmax_left_age = "90m"\nmax_clock_skew = "5s"\n'
        'max_run_age = "8d"\n[policy.off]\nplaintext = "until May"\n',
        tmp_path,
    )

    assert found.max_key_age == timedelta(weeks=52)
    assert found.warn_before == timedelta(hours=12)
    assert found.max_left_age == timedelta(minutes=90)
    assert found.max_clock_skew == timedelta(seconds=5)
    assert found.off == {"plaintext": "until May"}


def test_a_policy_that_does_not_fit_is_refused_by_every_command(tmp_path: Path, named: Named) -> None:
    """The file and the fault are named; a misspelt limit is not taken for no limit."""
    cases = [
        ('[policy]\nmax_age = "1d"\n', ", [policy]: unknown setting `max_age`; did you mean `max_run_age`?"),
        ("[policy]\nmax_key_age = 365\n", "written as 365d, 12h, 30m or 90s"),
        ('[policy]\nmax_key_age = "a year"\n', "written as 365d"),
        ('[policy]\nmax_key_age = "-1d"\n', "written as 365d"),
        ('[policy]\nmax_key_age = "1.5d"\n', "written as 365d"),
        ('[policy]\nmax_key_age = "99999999d"\n', "100 years at most"),
        (
            '[policy]\nmax_key_age = "1h"\n',
            "warn_before (30d; 30d if it is not written) is longer than max_key_age (1h); write a shorter warn_before",
        ),
        ('[policy]\nmax_key_age = "90m"\nwarn_before = "2w"\n', "warn_before (14d; 30d if"),
        ('[policy.off]\nplaintext = " "\n', "say why plaintext is off"),
        ('[policy.unsearched_databases]\nzabbix = ""\n', "say why zabbix is not searched"),
        ('[policy.unsearched_databases]\n" " = "not ours"\n', "a pattern is empty; write a database's name, or *"),
        ("[policy.off]\nplaintext = true\n", "a value of `off` must be a text in quotes, such as in { clock = "),
        ("[[policy]]\n", "`policy` is written as [policy], on a line of its own"),
    ]

    for text, words in cases:
        with named(text):
            with pytest.raises(UsageError) as caught:
                policy(text, tmp_path)

            assert words in str(caught.value)
            assert "rotation.toml" in str(caught.value)


def test_a_length_of_time_is_told_in_whole_units(named: Named) -> None:
    """At least two of a unit, so that nothing is rounded away that matters."""
    cases = [
        (timedelta(days=371), "371 days"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=2, seconds=-1), "47 hours"),
        (timedelta(hours=2), "2 hours"),
        (timedelta(hours=1), "60 minutes"),
        (timedelta(seconds=90), "90 seconds"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(0), "0 seconds"),
        (timedelta(days=4000), "4,000 days"),
    ]

    for time, words in cases:
        with named(time):
            assert span(time) == words


def test_a_span_of_words_is_a_length_of_time() -> None:
    """The type is timedelta's own, so that limits and ages compare."""
    assert Duration.parse("2w") == timedelta(days=14)


def test_a_check_is_turned_off_by_an_example_that_can_be_copied(tmp_path: Path) -> None:
    """Behind the name of a secret the process's own redactor would mask the example's text."""
    (tmp_path / "rotation.toml").write_text('[policy]\noff = ["plaintext"]\n')

    argv = [sys.executable, "-m", "rotation", "status"]
    ran = run(argv, cwd=tmp_path)

    assert ran.returncode == 2
    assert 'such as { clock = "until May" }' in ran.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rotation.toml", "rotation.toml (that is {0}/rotation.toml): No such file"),
        ("~/rotation.toml", "(that is {0}/~/rotation.toml; no shell replaced the ~, so write the path in full)"),
        ("/nowhere/rotation.toml", "/nowhere/rotation.toml: No such file"),
    ],
)
def test_a_missing_file_is_named_with_the_folder_that_was_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    """A timer has another current folder than the shell in which the path was right."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(UsageError) as caught:
        read_config(Path(name), entries_of_apps)

    assert words.format(tmp_path) in str(caught.value)


def test_the_first_pattern_that_fits_gives_the_reason(named: Named) -> None:
    """A database that a url names is never left out, and neither is one without a name; a bracket is a bracket."""
    patterns = {"zabbix": "of monitoring", "git*": "of builds", "a[1]": "of a", "*": "not ours"}
    left_out = LeftOut(patterns, {"app", "gitea"})
    for database, reason in {
        "zabbix": "of monitoring",
        "gitlab": "of builds",
        "Zabbix": "not ours",
        "a[1]": "of a",
        "a1": "not ours",
        "app": None,
        "gitea": None,
        None: None,
    }.items():
        with named(database):
            assert left_out.why(database) == reason
