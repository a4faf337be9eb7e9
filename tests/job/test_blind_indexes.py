"""Which rows have an index that does not belong to their cell, and what is written beside which cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from keyring_core import Keyring
from keyring_core.blind_index import BlindIndex
from rotation.job.blind_indexes import Stale, index_values, stale_rows
from rotation.model.batch import Batch, Plan, Written
from rotation.model.target import Adopts
from rotation.planning.planner import Planner
from rotation.planning.rules import Takeover
from rotation.stores.store import IndexValue
from tests.fakes import token
from tests.keys import make_key

INDEX = BlindIndex("users.email")
NEW, OLD, OLDER = make_key("new"), make_key("old"), make_key("older")
STAGED = make_key("staged")
KEYRING = Keyring(NEW, previous=[OLD, OLDER], staged=STAGED)


def index_of(label: str, value: str = "secret", context: str = "users.email") -> str:
    """What a service whose primary key is of that label stores."""
    return BlindIndex(context).of(Keyring(make_key(label)), value)


def stale_in(
    rows: Sequence[tuple[Any, object]],
    keyring: Keyring = KEYRING,
    *,
    dry_run: bool = False,
    adopts: Adopts = Adopts.NOTHING,
    index: BlindIndex = INDEX,
) -> tuple[list[Stale], Plan]:
    """The stale rows among *rows* of cell and index, keyed from 0; and the plan of the batch."""
    keys, cells, indexes = zip(*(((row,), *each) for row, each in enumerate(rows)), strict=True)
    batch = Batch(keys, cells, indexes=indexes)
    plan = Planner(keyring, dry_run=dry_run, takeover=Takeover(None, adopts)).plan(batch)
    return list(stale_rows(keyring, index, batch, plan)), plan


@pytest.mark.parametrize(
    ("cell", "held"),
    [
        (token("new"), index_of("new")),
        (token("new"), index_of("new") + " " * 8),
        (None, None),
        (None, ""),
        ("", None),
        ("", index_of("old")),
        (token("nobody"), index_of("old")),
        (token("old")[:60], index_of("old")),
        ("hunter2", None),
        (7, index_of("old")),
    ],
    ids=["right", "CHAR", "null", "null-empty", "empty", "empty-held", "unknown key", "cut", "plaintext", "number"],
)
def test_an_index_that_is_right_or_that_nobody_can_make_stays(cell: Any, held: str | None) -> None:
    """What does not open has no index of its own; an empty cell and a column of type CHAR are as they were."""
    assert stale_in([(cell, held)])[0] == []


@pytest.mark.parametrize(
    ("held", "under", "changes"),
    [
        (index_of("old"), OLD.id, False),
        (index_of("staged"), STAGED.id, False),
        (None, None, False),
        ("", None, False),
        (index_of("new", "another"), None, True),
        (index_of("old", "another"), OLD.id, True),
        (index_of("new", context="users.name"), None, True),
        (index_of("nobody"), None, False),
        (b"\xff", None, False),
    ],
    ids=[
        *("older key", "staged key", "missing", "empty", "other value", "older key and other value"),
        *("other context", "unknown key", "bytes"),
    ],
)
def test_a_stale_index_of_a_current_cell(held: object, under: str | None, changes: bool) -> None:
    """It is set beside the cell as it is; the key that it was under is named, and whether it was of another text."""
    cell = token("new")

    stale, plan = stale_in([(cell, held)])

    assert stale == [Stale((0,), cell, index_of("new"), under, is_current=True, changes=changes)]
    assert list(index_values(stale, plan, Written())) == [IndexValue((0,), cell, index_of("new"))]


@pytest.mark.parametrize("dry_run", [False, True])
def test_an_index_goes_with_its_token(dry_run: bool) -> None:
    """It is set beside the new token; a dry run counts it with the token, if both are under the same key."""
    stale, plan = stale_in([(token("old"), index_of("old")), (token("old"), index_of("older"))], dry_run=dry_run)

    assert [row.is_current for row in stale] == [False, False]
    if dry_run:
        assert [row.under for row in stale] == [None, OLDER.id]
    else:
        values = list(index_values(stale, plan, Written()))
        assert values == [IndexValue((row,), new, index_of("new")) for row, new in enumerate(plan.swaps.new)]


def test_a_token_that_was_not_written_keeps_its_index() -> None:
    """A service has written another one meanwhile, with an index of its own; or it is as it was."""
    stale, plan = stale_in([(token("old"), index_of("old"))] * 3)

    values = index_values(stale, plan, Written(lost={(0,)}, refused={(2,): ("refused", "")}))

    assert [value.key for value in values] == [(1,)]


def test_a_token_under_the_staged_key_keeps_its_index() -> None:
    """It is of a service that is ahead of this job."""
    stale, plan = stale_in([(token("staged"), index_of("staged"))])

    assert list(index_values(stale, plan, Written())) == []
    assert [(row.under, row.is_current) for row in stale] == [(None, False)]


def test_a_cell_that_is_emptied_has_no_index() -> None:
    """An index beside NULL would find the row by a value that it no longer has."""
    stale, plan = stale_in([(None, index_of("new")), (None, index_of("old"))])

    assert [(row.wanted, row.under, row.is_current) for row in stale] == [(None, None, True), (None, OLD.id, True)]
    assert list(index_values(stale, plan, Written())) == [IndexValue((0,), None, None), IndexValue((1,), None, None)]


def test_a_cell_that_is_taken_over_has_its_index_at_once() -> None:
    """Its value is in the new token, although the keyring does not open the cell."""
    stale, plan = stale_in([("hunter2", None)], adopts=Adopts.PLAINTEXT)

    [value] = index_values(stale, plan, Written())
    assert (value.cell, value.wanted) == (plan.swaps.new[0], index_of("new", "hunter2"))


def test_the_index_of_a_bound_column_is_that_of_its_key() -> None:
    """A type computes it with the keyring or with the bound one: both make the same."""
    bound = KEYRING.bind("users.email", accept_unbound=True)
    of_service = BlindIndex("users.email").of(Keyring(NEW).bind("users.email"), "a@example.com")
    sound = Keyring(NEW).bind("users.email").encrypt("a@example.com")

    stale, plan = stale_in([(sound, of_service), (token("new"), index_of("old"))], bound)

    assert of_service == index_of("new", "a@example.com")
    # The second one is not bound yet: its index goes with its token.
    assert [(row.key, row.wanted, row.is_current) for row in stale] == [((1,), index_of("new"), False)]
    assert [value.cell for value in index_values(stale, plan, Written())] == list(plan.swaps.new)


def test_bytes_of_a_cell_have_the_index_of_their_text() -> None:
    """A column of bytes holds the same token."""
    stale, _ = stale_in([(token("new").encode(), index_of("new")), (token("new").encode(), None)])

    assert [row.key for row in stale] == [(1,)]


def test_an_index_of_another_normal_form_is_told_from_one_that_follows_its_token() -> None:
    """Also if the token moves; a token that is left keeps its index."""
    folded = BlindIndex("users.email", str.casefold)
    rows = [
        *((token(label, "A@B"), index_of(label, value)) for label in ("new", "old") for value in ("a@b", "A@B")),
        (token("new", "a@b"), index_of("old", "a@b")),
        (token("staged", "A@B"), index_of("staged", "A@B")),
    ]

    for dry_run in (False, True):
        stale, _ = stale_in(rows, index=folded, dry_run=dry_run)

        assert [(row.key, row.changes) for row in stale] == [
            ((1,), True),
            ((2,), False),
            ((3,), True),
            ((4,), False),
            ((5,), False),
        ]
        assert {row.wanted for row in stale} == {index_of("new", "a@b")}


def raising(text: str) -> str:
    """As a function of an application that does not know every value."""
    if "@" not in text:
        raise LookupError(text)
    return text.lower()


def test_a_value_without_a_normal_form_has_no_index() -> None:
    """The words name the error's class, and hold nothing of the value; the index stays, and the others are made."""
    faulty = BlindIndex("users.email", raising)
    rows = [
        (token("old", "A@B"), None),
        (token("old", "hunter2"), index_of("old", "hunter2")),
        (token("new", "x"), None),
    ]

    stale, plan = stale_in(rows, index=faulty)

    assert [(row.wanted, row.under, row.is_current) for row in stale] == [
        (index_of("new", "a@b"), None, False),
        (None, OLD.id, False),
        (None, None, True),
    ]
    assert [row.fault for row in stale[1:]] == [
        "users.email: normalize takes a text and returns one; it raised LookupError"
    ] * 2
    assert [value.key for value in index_values(stale, plan, Written())] == [(0,)]
