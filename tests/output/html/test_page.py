"""The page: what it says, and what cannot get out of it."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from keyring_core.redaction import get_redactor
from rotation.checks.facts import Level
from rotation.checks.use_cases import Overview
from rotation.output.html.page import page
from tests.conftest import Named
from tests.output.html.samples import (
    EVERY,
    EVIL,
    FEW,
    FULL,
    MANY,
    NOTHING,
    NOW,
    PREVIOUS,
    PRIMARY,
    RESULTS,
    RETIRED,
    STATES,
    TRIAL,
    census,
    certificate,
    day,
    few,
    full,
    key,
    overview,
    result,
)

LEVELS = (Level.WARNING, Level.UNKNOWN, Level.CRITICAL)
VOID = {"meta", "link", "br"}
INLINE = {"bdi", "b", "strong", "span", "code", "time", "svg", "rect", "title"}


class Parsed(HTMLParser):
    """Elements with their attributes, and the text that a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in INLINE:
            self.texts.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("style", "title"):
            self.texts.append(data)

    @property
    def text(self) -> str:
        """Words, with single blanks."""
        return " ".join("".join(self.texts).split())

    @property
    def ids(self) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get("id"))]


def text(shown: Overview) -> str:
    return Parsed(page(shown)).text


@pytest.fixture(params=EVERY.values(), ids=EVERY)
def shown(request: pytest.FixtureRequest) -> Overview:
    return request.param


def test_every_element_is_closed(shown: Overview) -> None:
    """The page is well formed, and each id is there once."""
    parsed = Parsed(page(shown))

    assert parsed.open == []
    assert len(parsed.ids) == len(set(parsed.ids))


def test_names_from_outside_are_text() -> None:
    """A table called <script>, and every other name, message and word from outside, is shown and does nothing."""
    parsed = Parsed(page(MANY))

    assert {tag for tag, _ in parsed.elements}.isdisjoint({"script", "iframe", "img", "object", "a", "form", "input"})
    assert EVIL in parsed.text
    assert all(
        EVIL in value for _, attributes in parsed.elements for value in attributes.values() if "<" in (value or "")
    )


def test_characters_that_no_page_can_hold_are_spelled_out() -> None:
    """NUL, half a surrogate pair and what turns the direction of text are shown as escapes; the page is UTF-8."""
    html = page(MANY)

    html.encode("utf-8")
    assert not re.search("[\x00-\x08\u202a-\u202e\ud800-\udfff]", html)
    assert all(spelled in html for spelled in (r"\x00", r"\ud800", r"\u202e"))


def test_nothing_is_fetched_and_nothing_runs(shown: Overview) -> None:
    """No script, no style but the one whose hash the policy names, no address but the icon's own data."""
    html = page(shown)
    parsed = Parsed(html)
    [style] = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    [policy] = [a["content"] for tag, a in parsed.elements if a.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
    for _, attributes in parsed.elements:
        assert not [name for name in attributes if name in {"style", "src"} or name.startswith("on")]
        assert (attributes.get("href") or "data:").startswith("data:")
    assert "url(" not in style
    assert "@import" not in style


def test_headings_and_landmarks_are_in_order(shown: Overview) -> None:
    """One h1, no level is left out, and every section is named by its heading."""
    parsed = Parsed(page(shown))
    levels = [int(tag[1]) for tag, _ in parsed.elements if re.fullmatch(r"h\d", tag)]
    sections = [attributes["aria-labelledby"] for tag, attributes in parsed.elements if tag == "section"]

    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert [tag for tag, _ in parsed.elements if tag in ("header", "main", "footer")] == ["header", "main", "footer"]
    assert sections
    assert set(sections) <= set(parsed.ids)


def test_every_picture_has_words_and_a_table(shown: Overview) -> None:
    """A chart is an image with a name for a screen reader; its section has a table with the numbers."""
    sections = re.findall(r"<section.*?</section>", page(shown), re.DOTALL)
    pictures = [
        (inside, section)
        for section in sections
        for inside in re.findall(r'<svg[^>]*role="img"[^>]*>(.{,60})', section)
    ]

    assert pictures or shown is NOTHING
    for inside, section in pictures:
        assert inside.startswith("<title>")
        assert "<table" in section


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        pytest.param(
            FEW,
            "Complete. Every one of the 3 tokens of the column named in rotation.toml is under the primary key "
            f"{PRIMARY}.",
            id="complete",
        ),
        pytest.param(
            FULL,
            f"Not complete. 389 of 1,250,990 tokens are not under the primary key {PRIMARY}. 9 cells cannot be read or "
            "are not encrypted. 1 target was not reached.",
            id="everything is wrong",
        ),
        pytest.param(NOTHING, "Not complete. No target has been counted.", id="nothing counted"),
        pytest.param(
            few(unreached={"a.b": "gone", "c.d": "gone"}),
            "Not complete. 2 targets were not reached.",
            id="lost",
        ),
        pytest.param(
            few(censuses=[census(under={PRIMARY: 1}, complete=False)]), "Not complete. Tokens", id="unsettled"
        ),
        pytest.param(
            overview(censuses=[census(under={"0ff1ce00": 2})]),
            "Not complete. 2 of 2 tokens are not under the primary key. Tokens",
            id="no keys",
        ),
    ],
)
def test_the_verdict_comes_first(shown: Overview, words: str) -> None:
    """Complete or not, and why not, before anything else."""
    assert f"Summary {words}" in text(shown)


def test_the_figures_are_those_of_all_targets() -> None:
    """Tokens, their share under the primary key, the key's age in days, the number of findings."""
    assert "Under the primary key, of all found 99.9 % Age of the primary key 295 days Findings 2 Findings" in text(
        FULL
    )
    assert "Age of the primary key unknown" in text(NOTHING)
    nested = census(under={PRIMARY: 3}, nested=1)
    assert "Under the primary key, of all found 66.7 %" in text(few(censuses=[nested]))


def test_findings_come_worst_first_with_what_to_do() -> None:
    """CRITICAL before UNKNOWN before WARNING; each with subject, message and remedy; what is off, with its reason."""
    unordered = [result("c", level, "users.key", f"is {level.name}", "Fix it.") for level in LEVELS]
    shown = text(full(results=[*unordered, *RESULTS]))

    assert (
        "Critical users.key is CRITICAL What to do Fix it. "
        f"Critical user_credentials.api_key 389 tokens are under the previous key {PREVIOUS}" in shown
    )
    assert shown.index("is CRITICAL") < shown.index("is UNKNOWN") < shown.index("is WARNING")
    assert "Checks that were not made key_file_modes: Keys come from a command here." in shown
    assert "Findings None: 1 check was made, and all is as the policy requires." in text(FEW)


def test_what_is_within_the_policy_is_no_finding() -> None:
    """A finding that is OK is listed separately, and not counted."""
    shown = text(few(results=[result("previous_keys", Level.OK, PREVIOUS, "it may be retired", "Retire it.")]))

    assert "Findings 0 Findings None: 1 check was made" in shown
    assert f"Within the policy {PREVIOUS}: it may be retired. Next: Retire it. Keys" in shown


def test_keys_are_shown_with_their_dates() -> None:
    """Each key's state, tokens, dates and the times of its tokens; a dash if there is none."""
    shown = text(FULL)

    assert f"{PRIMARY} primary 1,250,601 – 2026-01-26 2026-02-02 – 2023-03-01 2026-11-01" in shown  # noqa: RUF001
    assert f"{PREVIOUS} previous 389 – 2025-01-20 2025-02-03 – 2025-03-01 2026-01-01" in shown  # noqa: RUF001
    assert f"{RETIRED} retired 0 – – 2024-01-09 2025-04-02 – –" in shown  # noqa: RUF001


def test_a_suspended_key_says_who_was_refused() -> None:
    """Since when it is suspended, and by which service a token under it was read last."""
    shown = text(TRIAL)

    assert f"{PREVIOUS} suspended since 2026-11-20 389 refused 3 minutes ago by billing" in shown


def test_a_key_without_dates_says_what_is_known() -> None:
    """Forced retirements, keys that were there before the ledger, and keys that no record has."""
    records = [key(RETIRED, promoted=NOW, retired=NOW, forced=True), key(PREVIOUS)]
    shown = text(full(records=records, keys={each: STATES[each] for each in (PRIMARY, PREVIOUS)}))

    assert f"{RETIRED} retired, without proof" in shown
    assert f"{PREVIOUS} previous 389 – – before 2026-11-25" in shown  # noqa: RUF001
    assert f"{PRIMARY} primary 1,250,601 – –" in shown  # noqa: RUF001


def test_the_parts_of_a_target_add_up() -> None:
    """Each target's cells per key and kind, with shares; when, in which database and in which rows."""
    one = census(scanned=1_210, unreadable=9, empty=5, under={PRIMARY: 801, PREVIOUS: 389}, where="a < 1", sampled=True)
    shown = text(full(censuses=[one]))

    assert (
        "user_credentials.api_key 1,210 PostgreSQL at db-1, app, counted 2026-11-25 03:10, a sample, rows where a < 1 "
        f"{PRIMARY} primary 66.2 % 801 {PREVIOUS} previous 32.1 % 389 unreadable 0.7 % 9 empty 0.4 % 5 "
        "unsettled 0.5 % 6" in shown
    )
    assert one.counts.scanned == 801 + 389 + 9 + 5 + 6


def test_times_that_no_calendar_has_are_shown() -> None:
    """T44: a token may bear any time up to 2**64 - 1."""
    shown = text(MANY)

    assert "1970-01-01 after 9999" in shown
    assert "after 2026-11 70" in shown


def test_runs_are_listed() -> None:
    """Each run's start, command, outcome, length and primary key."""
    shown = text(FULL)

    assert f"2026-11-23 02:20 run complete 9 minutes {PRIMARY}" in shown
    assert f"2026-10-25 02:20 run not finished {PRIMARY}" in shown
    assert "The ledger has no run." in text(FEW)


def test_certificates_say_what_was_proven() -> None:
    """What was read and left, and which refusals a forced retirement overrode."""
    shown = text(full(certificates=[certificate(forced=True, overridden=["a token is under it"], unchecked=["x"])]))

    assert f"Key {RETIRED} was retired without proof Retired 2025-04-02 Primary key then {PREVIOUS}" in shown
    assert "Read 1,180,000 rows: user_credentials.api_key Tokens under it 0" in shown
    assert "Overridden refusals a token is under it Not checked x Services production on web-1" in shown
    assert f"Key {RETIRED} was retired Retired" in text(FULL)


def test_a_promotion_without_an_exact_date_is_shown_as_a_bound() -> None:
    """In the key's age, in its dates, and in a certificate; one of an older version has no such field."""
    found = key(PRIMARY, promoted_before=day(2026, 2, 2), first_seen=day(2026, 2, 2))
    proof = certificate() | {"promoted": None, "promoted_before": "2025-02-03T09:30:00+00:00"}
    shown = text(full(records=(found,), certificates=[proof]))

    assert "Age of the primary key at least 295 days" in shown
    assert "before 2026-02-02" in shown
    assert f"Primary key then {PREVIOUS} , promoted before 2025-02-03" in shown.replace(f"{PREVIOUS},", f"{PREVIOUS} ,")
    assert "at least" not in text(FULL)


def test_the_redactor_leaves_the_page_as_it_is(shown: Overview) -> None:
    """Nothing in the page looks like a secret: neither the hash of the style sheet nor a key id."""
    assert get_redactor().redact(page(shown)) == page(shown)


def test_a_page_is_the_same_for_the_same_facts(shown: Overview) -> None:
    """No clock, no chance, no place: the page depends on its facts alone."""
    assert page(shown) == page(shown)


def test_a_page_of_a_service_without_a_name_is_not_called_default(named: Named) -> None:
    """Title and heading name the service, or the key set of one without a name; otherwise they say what the page is."""
    for service, title, heading in (
        ("default", "Key rotation, ", "Key rotation"),
        ("default/airflow", "Key rotation: airflow, ", "airflow"),
        ("billing", "Key rotation: billing, ", "billing"),
    ):
        with named(service):
            html = page(replace(FEW, verdict=replace(FEW.verdict, facts=replace(FEW.verdict.facts, service=service))))

            assert f"<title>{title}" in html
            assert f"<h1><bdi>{heading}</bdi></h1>" in html
