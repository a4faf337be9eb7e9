"""One verdict of several key sets: every finding once, with the sets that it is about."""

from __future__ import annotations

from rotation.checks.facts import Level
from rotation.checks.verdict import Verdict
from rotation.configuration.policy import Policy
from tests.checks.worlds import NOW, SECOND, facts, found, target


def verdict(service: str, **changes: object) -> Verdict:
    return Verdict.of(facts(service=service, **changes), Policy(), NOW)


def subjects(whole: Verdict, check: str) -> list[str]:
    return [finding.subject for finding in whole.findings if finding.check == check]


def test_a_finding_of_one_set_names_it() -> None:
    """Its level is that of the whole; the checks are listed once."""
    well, plain = verdict("shop/a"), verdict("shop/b", targets=(target(plaintext=1),))

    whole = Verdict.of_parts([well, plain])

    assert subjects(whole, "plaintext") == ["shop/b: creds.token"]
    assert (whole.level, plain.level) == (plain.level, Level.CRITICAL)
    assert [result.check for result in whole.results] == [result.check for result in well.results]
    assert whole.by_keys == (well, plain)


def test_a_finding_that_all_sets_have_is_said_once() -> None:
    """It is about none of them."""
    search = found("notes.text")

    whole = Verdict.of_parts([verdict("shop/a", search=search), verdict("shop/b", search=search)])

    assert subjects(whole, "uncovered_columns") == ["notes.text"]


def test_a_finding_that_some_sets_have_is_said_once() -> None:
    """It names all of them, as if the keys of another set cannot be loaded and nothing was searched with them."""
    search = found("notes.text")
    parts = [
        verdict("shop/a", search=search),
        verdict("shop/b", keys=None, keys_fault="[keys.b] primary ($B): not set"),
        verdict("shop", search=search),
    ]

    whole = Verdict.of_parts(parts)

    assert subjects(whole, "uncovered_columns")[-1] == "shop/a, shop: notes.text"
    assert subjects(whole, "keys") == ["shop/b"]
    assert whole.level is Level.UNKNOWN


def test_the_whole_is_as_late_as_its_last_part() -> None:
    """One part alone is the whole."""
    early, late = verdict("shop/a"), Verdict.of(facts(service="shop/b"), Policy(), NOW + SECOND)

    assert Verdict.of_parts([early, late]).now == late.now
    assert Verdict.of_parts([early]) is early
