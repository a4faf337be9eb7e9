"""Cells with tokens inside text: all of a cell move, or none does, and each token counts."""

from __future__ import annotations

import base64
import json
from collections import Counter
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core import Key, Keyring
from rotation.model.batch import Batch, Plan, Written, count_swaps
from rotation.model.counts import Counts
from rotation.model.key_history import History, Promotion
from rotation.model.target import Format
from rotation.planning import embedded
from rotation.planning.planner import Planner
from tests.conftest import Named
from tests.fakes import ISSUED_AT, batch_of, token
from tests.keyring_core.test_tokens import seal
from tests.keys import key_text, make_key, mistyped
from tests.planning import foreign_cells
from tests.planning.test_embedded import HOSTILE

OLD, OLDER, NEW, STAGED = (make_key(label) for label in ("old", "older", "new", "staged"))
REDASH = make_key("redash")
KEYRING = Keyring(NEW, previous=[OLD, OLDER], staged=STAGED)
OTHERS = [("redash", Keyring(REDASH))]


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def plan_of(*cells: Any, form: Format = Format.EMBEDDED, keyring: Keyring = KEYRING, **options: Any) -> Plan:
    """The plan for *cells*, in rows numbered from 1."""
    rows = [((row,), cell) for row, cell in enumerate(cells, 1)]
    return Planner(keyring, format=form, **options).plan(batch_of(rows))


def done(*cells: Any, **options: Any) -> Counts:
    """The counts of *cells* once the plan is written."""
    plan = plan_of(*cells, **options)
    count_swaps(plan, Written(), NEW.id)
    return plan.counts


def found(counts: Counts) -> list[tuple[int, str]]:
    return [(problem.key[0], problem.category) for problem in counts.problems]


def test_each_cell_counts_once_and_each_token_once() -> None:
    """Cells by what became of them, tokens by the key that they are under now."""
    cells = [
        json.dumps([token("old"), token("older")]),
        json.dumps([token("new"), token("old")]),
        json.dumps([token("new"), token("new")]),
        "{}",
        "",
        None,
        json.dumps([token("staged")]),
    ]
    counts = done(*cells)

    assert (counts.scanned, counts.null) == (6, 1)
    assert (counts.rotated, counts.current, counts.empty, counts.unsettled, counts.unreadable) == (2, 1, 2, 1, 0)
    assert (counts.under, counts.embedded) == ({NEW.id: 6, STAGED.id: 1}, 7)


def test_a_dry_run_counts_the_cells_that_a_run_would_rotate() -> None:
    """And the tokens under the keys that they are under; it plans nothing."""
    plan = plan_of(json.dumps([token("old"), token("new")]), json.dumps([token("new")]), dry_run=True)

    assert not plan.changes
    assert (plan.counts.to_rotate, plan.counts.current, plan.counts.rotated) == (1, 1, 0)
    assert plan.counts.under == {OLD.id: 1, NEW.id: 2}


BAD = {
    "unknown-key": token("nobody", "longer than the others"),
    "damaged": seal(b" " * 32, "old", ISSUED_AT),
    "truncated": token("old")[:70],
    "staged-key": token("staged"),
    "encoded-token": encoded(token("old")),
    "other-key-set": token("redash"),
    "foreign-cipher": foreign_cells.awx_fernet256(b"hunter2"),
}


def test_one_bad_token_keeps_its_cell_and_no_other(named: Named) -> None:
    """Whatever is wrong and wherever, also in a cell that is searched by itself; good tokens count under their keys."""
    # Letters behind a token, where its padding ought to be.
    for behind, place, dry_run, (category, bad) in product(("==", "ABC"), (0, 1, 2), (False, True), BAD.items()):
        with named(category, place, dry_run, behind):
            values = [token("old"), token("older").rstrip("=") + behind]
            values.insert(place, bad)
            good = [json.dumps([token("old")]) for _ in range(5)]
            plan = plan_of(json.dumps(values), *good, others=OTHERS, dry_run=dry_run)

            assert found(plan.counts) == [(1, category)]
            assert plan.counts.unreadable + plan.counts.unsettled == 1
            assert (plan.counts.unsettled == 1) == (category == "staged-key")
            assert len(plan.swaps) + plan.counts.to_rotate == 5
            assert plan.counts.under[OLD.id] == 1 + 5 * dry_run
            assert plan.counts.under[OLDER.id] == 1


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_problem_names_the_token_and_its_place(as_bytes: bool) -> None:
    """Its number, of the number of all, and its character; never its text."""
    text = json.dumps({"ä": token("old"), "b": token("nobody"), "c": token("older")}, ensure_ascii=False)
    [problem] = plan_of(text.encode() if as_bytes else text).counts.problems
    at = text.index(token("nobody")[:10], text.index('"b"')) + 1 + as_bytes

    assert problem.detail.startswith(f"token 2 of 3, at character {at}: no key opens this token (tried ")
    assert "gAAAA" not in problem.detail


CUT = token("old", "cut off")[:70]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(json.dumps({"t": CUT}), id="alone"),
        pytest.param(json.dumps([token("old"), CUT[:30]]), id="behind another one"),
        pytest.param(f"{CUT} {token('old').rstrip('=')}ABC", id="before one with letters behind it"),
    ],
)
def test_a_truncated_token_has_its_place(text: str) -> None:
    """Also if others stand before it, or if it is the beginning of a cell that is searched by itself."""
    [problem] = plan_of(text).counts.problems

    assert problem.category == "truncated"
    assert f"at character {text.index(CUT[:30]) + 1}: " in problem.detail


def test_tokens_under_a_newer_key_keep_their_cell() -> None:
    """As in a column of bare tokens."""
    history = History(newer={OLD.id: Promotion(None, datetime(2026, 1, 3, tzinfo=UTC))})
    counts = plan_of(json.dumps([token("older"), token("old")]), json.dumps([token("older")]), history=history).counts

    assert found(counts) == [(1, "newer-key")]
    assert (counts.unsettled, counts.under) == (1, {OLD.id: 1, OLDER.id: 1})


def test_a_token_of_another_key_set_is_named_with_it() -> None:
    """In any format; its key is known, so the cell keeps no other key."""
    for form, cell in ((Format.TOKEN, token("redash")), (Format.EMBEDDED, json.dumps([token("redash")]))):
        counts = plan_of(cell, form=form, others=OTHERS).counts

        assert found(counts) == [(1, "other-key-set")]
        assert f"under {REDASH.id}, a key of redash" in counts.problems[0].detail
        assert (counts.unreadable, counts.identified, counts.other_sets) == (1, 1, {REDASH.id: 1})
        assert (counts.complete, counts.under[REDASH.id]) == (False, 0)


IDENTIFIED = {
    "JSON in a column of tokens": (Format.TOKEN, json.dumps({"t": token("old")}), 1),
    "JSON with an unknown token": (Format.TOKEN, json.dumps([token("old"), token("nobody", "other" * 9)]), 0),
    "base64": (Format.TOKEN, encoded(token("old")), 1),
    "base64 in an embedded target": (Format.EMBEDDED, json.dumps([token("older"), encoded(token("old"))]), 1),
    "a bare token in a hex target": (Format.HEX, token("old"), 1),
    "an unknown token": (Format.EMBEDDED, json.dumps([token("old"), token("nobody")]), 0),
    "a damaged token": (Format.EMBEDDED, json.dumps([seal(b" " * 32, "old", ISSUED_AT)]), 0),
    "a truncated one": (Format.EMBEDDED, json.dumps([token("old"), token("old")[:70]]), 0),
    "a bare unknown token": (Format.TOKEN, token("nobody"), 0),
    "AWX": (Format.TOKEN, foreign_cells.awx(b"x"), 1),
    "raw bytes of Fernet's frame": (Format.TOKEN, foreign_cells.fernet256(b"x"), 0),
    "a short ciphertext": (Format.TOKEN, foreign_cells.aes_gcm_engine(b"x"), 1),
    "a long ciphertext": (Format.TOKEN, foreign_cells.aes_gcm_engine(b"x" * 60), 0),
}


def test_a_cell_whose_tokens_are_all_known_is_identified(named: Named) -> None:
    """It is unreadable for its format all the same."""
    for name, (form, cell, identified) in IDENTIFIED.items():
        with named(name):
            # Two sound ones: otherwise a damaged token would be taken for a mistyped key's.
            sound = [
                {"token": token("old"), "hex": token("old").encode().hex()}.get(form, json.dumps([token("old")]))
            ] * 2
            counts = plan_of(cell, *sound, form=form).counts

            assert (counts.unreadable, counts.identified, counts.plaintext) == (1, identified, 0)


def test_what_holds_no_token_is_empty() -> None:
    """Any JSON, a key in plain text, a picture, another cipher's output: there is nothing in it to rotate."""
    picture = encoded("\x89PNG\r\n" + "x" * 300)
    cells = [
        "{}",
        '{"api_key": "sk-live-1234567890abcdefghij"}',
        f'{{"a": "{picture}"}}',
        foreign_cells.aes_engine(b"x"),
    ]
    counts = plan_of(*cells, b"\xff\0" * 60, "Tokens begin with gAAAAAB").counts

    assert (counts.empty, counts.scanned, counts.suspects, counts.plaintext) == (6, 6, 0, 0)
    assert counts.complete


@pytest.mark.parametrize("length", [0, 20, 40])
def test_base64_of_two_tokens_moves_as_a_whole_or_not_at_all(length: int) -> None:
    """The second one is found only where base64 begins a new group; otherwise it would stay behind."""
    text = f"{token('old', 'x' * length)} {token('older')}"
    plan = plan_of(encoded(text), form=Format.BASE64)
    whole = (text.index(" ") + 1) % 3 == 0

    assert [problem.category for problem in plan.counts.problems] == ["encoded-token"] * (not whole)
    for cell in plan.swaps.new:
        assert KEYRING.identify_many(base64.b64decode(cell).decode().split()) == [NEW, NEW]


IN_ANOTHER_FORM = {
    "bare, for base64": (Format.BASE64, token("old"), "token"),
    "JSON, for hex": (Format.HEX, json.dumps([token("old")]), "token-in-text"),
    "base64, for hex": (Format.HEX, encoded(token("old")), "encoded-token"),
    "hex": (Format.EMBEDDED, token("old").encode().hex(), "encoded-token"),
    "UTF-16": (Format.EMBEDDED, token("old").encode("utf-16"), "encoded-token"),
    "AWX": (Format.EMBEDDED, foreign_cells.awx(b"x"), "foreign-cipher"),
    "AWX, for base64": (Format.BASE64, foreign_cells.awx(b"x"), "foreign-cipher"),
    "django-cryptography": (Format.EMBEDDED, foreign_cells.fernet256(b"x"), "foreign-cipher"),
}


def test_a_token_in_another_form_is_a_problem(named: Named) -> None:
    """Otherwise a run would say that it is complete."""
    for name, (form, cell, category) in IN_ANOTHER_FORM.items():
        with named(name):
            assert found(plan_of(cell, form=form).counts) == [(1, category)]


def test_a_token_in_a_token_is_reported() -> None:
    """The outer one moves, as in a column of bare tokens."""
    plan = plan_of(json.dumps([token("old", json.dumps([token("older")]))]))

    assert (len(plan.swaps), plan.counts.nested, plan.counts.inner) == (1, 1, {OLDER.id: 1})
    assert found(plan.counts) == [(1, "nested")]


def test_what_a_mistyped_key_decrypts_is_not_believed() -> None:
    """K26: none of the cells is written, from batch to batch."""
    wrong, balance = Keyring(NEW, previous=[mistyped(key_text("old"))]), Counter[Key]()
    for length in range(1, 21):
        cells = [json.dumps([token("old", "x" * length)]) for _ in range(60)]
        plan = plan_of(*cells, keyring=wrong, balance=balance)

        assert (len(plan.swaps), plan.counts.unreadable) == (0, 60)


def test_a_refused_cell_counts_its_old_tokens_and_a_lost_one_none() -> None:
    """All tokens of a cell share its fate."""
    plan = plan_of(*[json.dumps([token("old"), token("older"), token("new")])] * 3)
    count_swaps(plan, Written({(1,)}, {(2,): ("refused", "by a trigger")}), NEW.id)

    assert (plan.counts.rotated, plan.counts.unsettled) == (1, 2)
    assert plan.counts.under == {NEW.id: 4, OLD.id: 1, OLDER.id: 1}


def test_unbound_tokens_are_bound() -> None:
    """A target may have a context and a format."""
    bound = KEYRING.bind("users.api_key", accept_unbound=True)
    plan = plan_of(json.dumps([token("new"), bound.encrypt("x")]), keyring=bound)
    counts = plan_of(json.dumps([token("new"), token("old")]), keyring=bound, dry_run=True).counts

    assert all(bound.key_for(each).context for each in json.loads(str(plan.swaps.new[0])))
    assert (counts.to_rotate, counts.unbound) == (1, 2)


def test_the_batchs_other_rows_count() -> None:
    """NULLs and empty texts that a store counts by itself."""
    counts = Planner(KEYRING, format=Format.EMBEDDED).plan(Batch([(1,)], ["{}"], null=2, empty=3)).counts

    assert (counts.scanned, counts.null, counts.empty) == (4, 2, 4)


def test_a_cell_that_costs_too_much_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says so, and keeps every key."""
    monkeypatch.setattr(embedded, "WORK", 0)
    plan = plan_of(HOSTILE["tokens without an end"] + " " + token("old"), json.dumps([token("old")]))

    assert (len(plan.swaps), plan.counts.unreadable, plan.counts.identified) == (1, 1, 0)
    assert plan.counts.given_up >= 1


LABELS = st.sampled_from(["old", "older", "new", "staged", "nobody", "redash"])
CELLS = st.lists(st.lists(LABELS | st.sampled_from(["plain", "cut"]), max_size=4) | st.none(), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(CELLS, st.sampled_from(list(Format)[1:]), st.booleans())
def test_many_cells_together_come_to_what_each_does_alone(
    made: list[list[str] | None], form: Format, dry_run: bool
) -> None:
    """Counts, problems and which cells are written; all that moves is under the primary key, and the rest stays."""

    def write(label: str, number: int) -> str:
        text = {"plain": "x", "cut": token("old")[:50]}.get(label) or token(label, "x" * number)
        spell = {Format.EMBEDDED: str, Format.BASE64: encoded, Format.HEX: lambda each: each.encode().hex()}
        return text if label in {"plain", "cut"} else spell[form](text)

    cells = [
        None if labels is None else json.dumps([write(label, at) for at, label in enumerate(labels)]) for labels in made
    ]
    options: dict[str, Any] = {"form": form, "dry_run": dry_run, "others": OTHERS}
    together, alone = plan_of(*cells, **options), Counts()
    swapped = {}
    for row, cell in enumerate(cells, 1):
        plan = Planner(KEYRING, format=form, dry_run=dry_run, others=OTHERS).plan(batch_of([((row,), cell)]))
        alone.add(plan.counts)
        swapped |= {key: old for key, old, _ in plan.swaps.rows()}

    assert together.counts.by_name() == alone.by_name()
    assert together.counts.problems == alone.problems
    assert {key: old for key, old, _ in together.swaps.rows()} == swapped
    tokens = Counter([*together.key_ids, *(each.key_id for each in together.further)])
    wanted = [label for key in swapped for label in made[key[0] - 1] or () if label not in {"plain"}]
    assert tokens == Counter(make_key(label).id for label in wanted)
