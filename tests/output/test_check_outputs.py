"""A verdict as text, as a plugin's line, as JSON and as metrics: four ways to say the same."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from nagiosplugin.range import Range
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from keyring_core import KeyState
from keyring_core.errors import printable
from keyring_core.redaction import get_redactor
from rotation.checks.facts import Level, worst
from rotation.checks.use_cases import Overview
from rotation.checks.verdict import Verdict
from rotation.configuration.policy import Duration, Policy
from rotation.ledger.clock import Clocks
from rotation.model.next_steps import PLAIN
from rotation.output.check_text import render
from rotation.output.documents.found import CheckJson
from rotation.output.documents.parts import json_text
from rotation.output.html.page import page
from rotation.output.nagios import line
from rotation.output.terminal import say
from tests.checks.test_checks import CASES
from tests.checks.worlds import DAY, NOW, PREVIOUS, PRIMARY, RETIRED, SECOND, STAGED, facts, found, key, target
from tests.conftest import Named
from tests.output.test_terminal import on_terminal
from tests.outputs.taken import write_metrics

pytestmark = pytest.mark.database

OFF = Policy(off={"plaintext": "half migrated | until May"})
PERFORMANCE = re.compile(r"(\w+)=(-?\d+)(s?)((?:;[\d.:~@]*){0,4})")


def text_of(verdict: Verdict) -> str:
    """The text of `check`."""
    out = io.StringIO()
    for part in render(verdict):
        say(part, out, {})
    return out.getvalue()


def metrics_of(verdict: Verdict, folder: Path) -> dict[str, Metric]:
    """The file of metrics, read by Prometheus' own parser."""
    path = folder / "keys.prom"
    assert write_metrics(path, verdict) is None
    return {family.name: family for family in text_string_to_metric_families(path.read_text())}


def by_label(family: Metric, *names: str) -> dict[Any, float]:
    """The values of a family by some of its labels."""
    return {tuple(sample.labels[name] for name in names): sample.value for sample in family.samples}


@pytest.mark.parametrize(("policy", "first"), [(Policy(), 0), (OFF, 1)], ids=["all on", "one off"])
def test_the_four_formats_agree(policy: Policy, first: int, tmp_path: Path, named: Named, *, long_form: bool) -> None:
    """Verdict, exit code, the level of each check and every finding are the same in all of them.

    Without --long each case has one of the policies.
    """
    for name, case in [*CASES.items()][0 if long_form else first :: 1 if long_form else 2]:
        with named(name):
            check_that_the_formats_agree(Verdict.of(facts(**case.given), policy, NOW), policy, tmp_path)


def check_that_the_formats_agree(verdict: Verdict, policy: Policy, tmp_path: Path) -> None:
    shown, plugin = text_of(verdict), line(verdict)
    told = json.loads(json_text(CheckJson.of(verdict)))
    metrics = metrics_of(verdict, tmp_path)

    assert plugin.startswith(f"ROTATION {verdict.level.name} - ")
    assert (told["status"], told["exit_code"]) == (verdict.level.name, verdict.level.value)
    assert metrics["keyring_status"].samples[0].value == verdict.level
    assert shown.splitlines()[-1].startswith(f"{verdict.level.name}: ")

    levels = {(check["check"],): float(Level[check["status"]]) for check in told["checks"]}
    assert by_label(metrics["keyring_check_status"], "check") == levels
    off = {(check["check"],): float(check["off"] is not None) for check in told["checks"]}
    assert by_label(metrics["keyring_check_off"], "check") == off

    flat = " ".join(shown.split())
    for finding in told["findings"]:
        assert finding["status"] in flat
        assert all(word in flat for word in finding["message"].split())
    assert "half migrated" not in flat if policy is not OFF else "Off: plaintext (half migrated | until May)" in flat


def test_the_plugins_line_is_one_line_that_a_monitoring_system_reads(named: Named) -> None:
    """One line; numbers follow its only bar, in the format of the guidelines."""
    for name, case in CASES.items():
        with named(name):
            plugin = line(Verdict.of(facts(**case.given), OFF, NOW))
            words, _, data = plugin.partition(" | ")

            assert "\n" not in plugin
            assert "|" not in words
            assert all(PERFORMANCE.fullmatch(each) for each in data.split()), data


@pytest.mark.parametrize("after", [-SECOND, 0 * SECOND, SECOND, 0.4 * SECOND], ids=["before", "at", "after", "part"])
@pytest.mark.parametrize("limit", [335 * DAY, 365 * DAY], ids=["warning", "critical"])
def test_the_ranges_alert_as_the_check_does(limit: Any, after: Any) -> None:
    """A monitoring system that compares the primary key's age with its ranges gets the same level as the check."""
    verdict = Verdict.of(facts(promoted=NOW - limit - after), Policy(), NOW)
    [[_, age, unit, ranges]] = [each for each in PERFORMANCE.findall(line(verdict)) if each[0] == "primary_key_age"]
    warning, critical = ranges.split(";")[1:3]
    level = Level.CRITICAL if int(age) not in Range(critical) else Level(int(age) not in Range(warning))

    assert unit == "s"
    assert level == next(result.level for result in verdict.results if result.check == "key_age")


def test_the_line_names_the_most_urgent_and_counts_the_others() -> None:
    """The line has three findings with what to type, the number of the others, and the checks that are off."""
    plugin = line(Verdict.of(MANY, OFF, NOW))

    assert "ROTATION CRITICAL - key_age (11111111): the primary key is 400 days old" in plugin
    assert "(next: keyring-rotate keys stage)" in plugin
    assert re.search(r"; and \d more; off: plaintext \|", plugin)


def test_a_name_from_the_database_breaks_no_line() -> None:
    """Bars, newlines and control characters of a table's name do not end the line or begin its numbers."""
    plugin = line(Verdict.of(facts(unreached={"a|b\nc\u2028\x1b[31m\u202e\ud800.d": "gone"}), Policy(), NOW))

    assert plugin.count("|") == 1
    assert plugin.isprintable()
    assert r"(a b c\u2028\x1b[31m\u202e\ud800.d): gone" in plugin


LEGIBLE = {PRIMARY: "9ace5031", PREVIOUS: "0f4c2b7d", STAGED: "deadbe11", RETIRED: "77ab0c3e"}
"""Ids that look as real ones do."""


def test_no_output_masks_a_key_id(named: Named, tmp_path: Path, *, long_form: bool) -> None:
    """The redactor, through which every output goes, takes no id for a secret, whatever the finding is.

    Without --long there is a page for the most urgent finding of each check.
    """
    by_level = sorted(CASES, key=lambda name: CASES[name].level)
    on_pages = CASES if long_form else {CASES[name].check: name for name in by_level}.values()
    metrics = tmp_path / "keys.prom"
    for name, case in CASES.items():
        with named(name):
            verdict = Verdict.of(facts(**case.given), Policy(), NOW)
            one = replace(verdict, results=tuple(result for result in verdict.results if result.check == case.check))
            write_metrics(metrics, one)
            pages = [page(Overview(one, ()))] if name in on_pages else []
            for text in (line(one), text_of(one), json_text(CheckJson.of(one)), metrics.read_text(), *pages):
                printed = re.sub("|".join(LEGIBLE), lambda found: LEGIBLE[found[0]], text)
                shown = get_redactor().redact(printed)

                assert [shown.count(each) for each in LEGIBLE.values()] == [text.count(each) for each in LEGIBLE]


def test_an_age_is_not_negative() -> None:
    """A key that is promoted in the future, by a clock that is behind, is 0 seconds old in every output."""
    verdict = Verdict.of(facts(promoted=NOW + DAY, clocks=Clocks(NOW, NOW + DAY)), Policy(), NOW)

    assert "primary_key_age=0s;" in line(verdict)
    assert verdict.age(KeyState.PRIMARY) == 0 * DAY
    assert ">0 seconds</dd>" in page(Overview(verdict, ()))
    assert ("clock", Level.WARNING) in {(each.check, each.level) for each in verdict.findings}


def test_what_is_known_to_be_wrong_is_not_hidden_by_what_is_unknown() -> None:
    """CRITICAL outranks UNKNOWN, and UNKNOWN outranks WARNING."""
    assert worst([Level.UNKNOWN, Level.CRITICAL]) is Level.CRITICAL
    assert worst([Level.UNKNOWN, Level.WARNING]) is Level.UNKNOWN
    assert worst([]) is Level.OK


def test_a_sample_is_said_in_every_format(tmp_path: Path) -> None:
    """A sample cannot be mistaken for the whole."""
    verdict = Verdict.of(facts(sample=500), Policy(), NOW)

    assert "Sampled: about 500 rows" in text_of(verdict)
    assert "sampled, about 500 rows" in line(verdict)
    assert CheckJson.of(verdict).sample == 500
    assert metrics_of(verdict, tmp_path)["keyring_sample_rows"].samples[0].value == 500


def test_a_finding_of_several_checks_is_shown_once() -> None:
    """Without a ledger eight checks cannot be made: one row names them."""
    shown = text_of(Verdict.of(facts(ledger_fault="gone"), Policy(), NOW))

    assert shown.count("it needs the ledger") == 1
    assert "previous_keys" in shown


MANY = facts(promoted=NOW - 400 * DAY, targets=(target(plaintext=1, nested=1, unreadable=1),), search=found("a.b"))


def test_a_terminal_obeys_no_name_from_the_database() -> None:
    """Escape sequences of a table's name, and what turns the text around, are shown and not sent."""
    odd = "a\x1b[31mb\nc\u202e.token"
    verdict = Verdict.of(facts(search=found(odd), unreached={odd: odd}), Policy(), NOW)

    for shown in (text_of(verdict), on_terminal(render(verdict), 40)):
        assert shown.replace("\n", "").isprintable()
        assert r"a\x1b[31mb" in shown


def test_a_terminal_of_any_width_shows_all(named: Named) -> None:
    """No word is cut or left out, and no line is wider than the terminal but one with a command."""
    for width in (40, 60, 80, 200):
        with named(width):
            verdict = Verdict.of(MANY, OFF, NOW)
            shown = on_terminal(render(verdict), width)

            assert max(len(line) for line in shown.splitlines() if "keyring-rotate" not in line) <= width
            flat = " ".join(shown.split())
            for finding in verdict.findings:
                steps = PLAIN.lines(finding.remedy)
                words = " ".join([finding.check, finding.subject, finding.message, *steps])
                assert {*words.split()} <= {*flat.split()}


@pytest.mark.parametrize("width", [20, 80, 200])
def test_a_command_is_on_one_line(width: int) -> None:
    """However narrow the terminal is, so that the command can be copied."""
    verdict = Verdict.of(MANY, OFF, NOW)

    assert "\n  Next: keyring-rotate run --dry-run --problems problems.jsonl\n" in on_terminal(render(verdict), width)


def test_metrics_are_named_as_prometheus_asks(tmp_path: Path) -> None:
    """A prefix, base units, no label `job` or `instance`, a HELP for each, and the numbers of the facts."""
    metrics = metrics_of(Verdict.of(facts(targets=(target({PRIMARY: 7, PREVIOUS: 3}),)), Policy(), NOW), tmp_path)

    assert all(name.startswith("keyring_") and metrics[name].documentation for name in metrics)
    labels = {label for family in metrics.values() for sample in family.samples for label in sample.labels}
    assert labels == {"check", "column", "key_id", "kind", "state", "target"}
    assert metrics["keyring_primary_key_age_seconds"].samples[0].value == 86400
    assert metrics["keyring_last_run_timestamp_seconds"].samples[0].value == (NOW - 0.5 * DAY).timestamp() + 3600
    tokens = by_label(metrics["keyring_tokens"], "target", "column", "key_id", "state")
    assert tokens == {("creds", "token", PRIMARY, "primary"): 7, ("creds", "token", PREVIOUS, "previous"): 3}


def test_two_services_on_one_machine_write_different_series(tmp_path: Path) -> None:
    """A service with a name has it as a label everywhere."""
    given = facts(service="billing", records=())
    metrics = metrics_of(Verdict.of(given, Policy(), NOW), tmp_path)

    assert {sample.labels.get("service") for family in metrics.values() for sample in family.samples} == {"billing"}


def test_key_sets_have_series_of_their_own(tmp_path: Path) -> None:
    """Prometheus reads the file: each family is there once, with the series of every set, also of one without keys."""
    parts = [
        Verdict.of(facts(service="shop/a"), Policy(), NOW),
        Verdict.of(facts(service="shop/b", keys=None, keys_fault="not set", targets=()), Policy(), NOW),
    ]
    whole = Verdict.of_parts(parts)

    metrics = metrics_of(whole, tmp_path)

    text = (tmp_path / "keys.prom").read_text()
    assert len(re.findall("^# TYPE", text, re.MULTILINE)) == len(set(re.findall("^# TYPE (.*)", text, re.MULTILINE)))
    status = by_label(metrics["keyring_check_status"], "service", "check")
    assert (status["shop/a", "keys"], status["shop/b", "keys"]) == (0, 3)
    assert by_label(metrics["keyring_status"], "service").keys() == {("shop/a",), ("shop/b",)}
    assert by_label(metrics["keyring_tokens"], "service", "key_id") == {
        ("shop/a", PRIMARY): 10,
        ("shop/a", PREVIOUS): 0,
    }
    assert {key.service for key in CheckJson.of(whole).keys} == {"shop/a"}


def test_a_name_with_quotes_stays_one_label(tmp_path: Path) -> None:
    """Quotes and backslashes in a table's name are escaped; what is not printable, as on every screen."""
    odd = 'a"b\\c\nd.token'
    metrics = metrics_of(Verdict.of(facts(unreached={odd: "gone"}, targets=()), Policy(), NOW), tmp_path)

    assert by_label(metrics["keyring_target_up"], "target") == {(printable(odd),): 0}


def test_the_file_of_metrics_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If writing fails, the old file stays, the error is returned, and no temporary file is left."""
    path = tmp_path / "keys.prom"
    path.write_text("# HELP keyring_status of yesterday\n")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.rename", fail)
    fault = write_metrics(path, Verdict.of(facts(), Policy(), NOW))

    assert fault is not None
    assert "No space left on device" in fault
    assert [each.name for each in tmp_path.iterdir()] == ["keys.prom"]
    assert path.read_text() == "# HELP keyring_status of yesterday\n"


def test_a_check_that_could_not_be_made_is_unknown_everywhere(tmp_path: Path) -> None:
    """A fault of the whole check has its level and its words in all formats."""
    verdict = Verdict.failed("rotation.toml: names no target", NOW)

    assert verdict.level is Level.UNKNOWN
    assert "names no target" in line(verdict)
    assert "names no target" in text_of(verdict)
    assert text_of(verdict).endswith("\nUNKNOWN: 1 check, 1 unknown\n")
    assert CheckJson.of(verdict).findings[0].message == "rotation.toml: names no target"
    assert metrics_of(verdict, tmp_path)["keyring_status"].samples[0].value == 3


@pytest.mark.parametrize(
    ("check", "metric", "ranges"),
    [
        ("key_age", "primary_key_age", ";28944000;31536000;0"),
        ("staged_key", "staged_key_age", ";1209600;;0"),
        ("previous_keys", "previous_key_age", ";7776000;;0"),
        ("unreadable", "unreadable", ";0;;0"),
        ("plaintext", "plaintext", ";;0;0"),
    ],
)
def test_a_check_that_is_off_alerts_by_no_range(check: str, metric: str, ranges: str) -> None:
    """A check that the policy has turned off raises no alert by its number."""
    world = facts(
        keys={PRIMARY: KeyState.PRIMARY, PREVIOUS: KeyState.PREVIOUS, STAGED: KeyState.STAGED},
        records=(*facts().records, key(STAGED, staged=NOW - DAY)),
    )

    def told(policy: Policy) -> str:
        data = line(Verdict.of(world, policy, NOW)).partition(" | ")[2].split()
        [found] = [each for each in data if each.startswith(f"{metric}=")]
        return found.partition(";")[1] + found.partition(";")[2]

    assert told(Policy()).replace("0:", "") == ranges
    assert told(Policy(off={check: "not here"})).strip(";") in {"", "0"}


def test_a_check_that_is_off_has_no_limit_in_the_metrics(tmp_path: Path) -> None:
    """An alert on the key's age compares with it."""
    metrics = metrics_of(Verdict.of(facts(), Policy(off={"key_age": "not here"}), NOW), tmp_path)

    assert metrics["keyring_primary_key_max_age_seconds"].samples == []
    assert metrics["keyring_primary_key_age_seconds"].samples[0].value == 86400


def test_limits_are_those_of_the_policy() -> None:
    """The ranges of the line follow rotation.toml."""
    plugin = line(Verdict.of(facts(), Policy(max_key_age=Duration(days=100), warn_before=Duration(days=10)), NOW))

    assert "primary_key_age=86400s;7776000;8640000;0" in plugin
