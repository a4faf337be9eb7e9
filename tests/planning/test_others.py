"""Cells with tokens of the target's keys beside tokens of other keys, which a target may leave."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import pytest
from cryptography.fernet import Fernet, InvalidToken
from hypothesis import given
from hypothesis import strategies as st

from keyring_core import Key, Keyring
from rotation.model.batch import Plan, Written, count_swaps
from rotation.model.counts import Counts
from rotation.model.target import Format
from rotation.planning.planner import Planner
from rotation.planning.suspects import SUSPECT
from tests.conftest import Named
from tests.fakes import ISSUED_AT, batch_of, token
from tests.keyring_core.test_tokens import seal
from tests.keys import key_text, make_key, mistyped
from tests.planning import foreign_cells

OLD, NEW, STAGED, REDASH = (make_key(label) for label in ("old", "new", "staged", "redash"))
KEYRING = Keyring(NEW, previous=[OLD], staged=STAGED)
OTHERS = [("redash", Keyring(REDASH))]

SPELLED: dict[Format, Callable[[str], str]] = {
    Format.EMBEDDED: str,
    Format.BASE64: lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    Format.HEX: lambda text: text.encode().hex(),
}

DECODED: dict[Format, Callable[[str], str | bytes]] = {
    Format.EMBEDDED: str,
    Format.BASE64: base64.urlsafe_b64decode,
    Format.HEX: bytes.fromhex,
}


def plan_of(*cells: str | bytes, form: Format, keyring: Keyring = KEYRING, **options: Any) -> Plan:
    """The plan for *cells*, in rows numbered from 1, of a target that leaves the tokens of others."""
    options = {"others": OTHERS, "leaves_others": True, **options}
    return Planner(keyring, format=form, **options).plan(
        batch_of([((row,), cell) for row, cell in enumerate(cells, 1)])
    )


def new_cells(plan: Plan) -> dict[int, str | bytes]:
    """What each row that is written gets."""
    return {key[0]: new for key, _, new in plan.swaps.rows()}


def test_a_wrapped_key_moves_and_its_value_stays(named: Named) -> None:
    """In each format, the value in each form, before and behind the key, as text and as bytes."""
    for form, of_value, first, as_bytes in product(Format, Format, (False, True), (False, True)):
        if Format.TOKEN in {form, of_value}:
            continue
        with named(form, of_value, first, as_bytes):
            wrapped, value = SPELLED[form](token("old", key_text("data"))), SPELLED[of_value](token("data"))
            text = ".".join(["clw1", "local", *([wrapped, value] if first else [value, wrapped])])
            cells = [text.encode() if as_bytes else text, SPELLED[form](token("old"))]
            plan = plan_of(*cells, form=form)
            counts = done(plan)
            [new, _] = new_cells(plan).values()
            new = new.decode() if isinstance(new, bytes) else new
            [inner] = [part for part in new.split(".")[2:] if part != value]

            assert (counts.rotated, counts.others, counts.unreadable, counts.problems) == (2, 1, 0, [])
            assert counts.under == {NEW.id: 2}
            assert counts.embedded == 2
            assert value in new
            assert Fernet(key_text("new")).decrypt(DECODED[form](inner)) == key_text("data").encode()


def done(plan: Plan) -> Counts:
    """The counts once *plan* is written."""
    count_swaps(plan, Written(), NEW.id)
    return plan.counts


OBSTACLES: dict[str, tuple[str, str]] = {
    "a token of ours in another form": (base64.b64encode(token("old").encode()).decode(), "encoded-token"),
    "a token of ours and one of others in another form": (
        base64.b64encode(f"{token('old')} {token('data')}".encode()).decode(),
        "encoded-token",
    ),
    "a damaged token of ours": (seal(b" " * 32, "old", ISSUED_AT), "damaged"),
    "a token whose end is missing": (token("data")[:70], "truncated"),
    "a longer one whose end is missing": (token("data", "x" * 100)[:-7], "truncated"),
    "the beginning of a token beside one of others in another form": (
        f"{base64.b64encode(token('data').encode()).decode()} {token('data')[:30]}",
        "truncated",
    ),
    "a token of ours under the staged key": (token("staged"), "staged-key"),
}


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_may_be_a_token_of_ours_is_never_left(dry_run: bool, named: Named) -> None:
    """A token of the target's keys in another form, or one that is broken, keeps its cell as it is."""
    for name, (text, category) in OBSTACLES.items():
        for number, cell in enumerate((f"{token('old')} {text}", f"{text} {token('old')} {token('data')}")):
            with named(name, number):
                plan = plan_of(cell, form=Format.EMBEDDED, dry_run=dry_run)

                assert not plan.changes
                assert [problem.category for problem in plan.counts.problems] == [category]
                assert plan.counts.unreadable + plan.counts.unsettled == 1
                assert plan.counts.others == plan.counts.to_rotate == 0


def test_a_search_that_was_given_up_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """There may be a token of the target's keys beside the one that was found."""
    monkeypatch.setattr("rotation.planning.inner_tokens.WORK", 0)
    monkeypatch.setattr("rotation.planning.inner_tokens.WORK_PER_BYTE", 1)
    plan = plan_of(f"{SPELLED[Format.BASE64](token('old'))} {token('data')}", form=Format.BASE64)

    assert not plan.changes
    assert (plan.counts.unreadable, plan.counts.others, plan.counts.given_up) == (1, 0, 1)


def test_raw_bytes_without_an_end_are_never_left() -> None:
    """A token of bytes whose end is missing may be of any key, also beside a token of others that is whole."""
    cut = base64.urlsafe_b64decode(token("data", "x" * 100))[:-7]
    whole = base64.b64encode(token("data").encode())
    plan = plan_of(b" ".join([token("old").encode(), whole, cut]), form=Format.EMBEDDED)

    assert not plan.changes
    assert (plan.counts.unreadable, plan.counts.others) == (1, 0)


@pytest.mark.parametrize("form", SPELLED)
def test_a_cell_in_which_no_token_opens_is_unreadable(form: Format) -> None:
    """A key that was forgotten is never taken for a key of others."""
    wrapped, value = SPELLED[form](token("lost", key_text("data"))), token("data")
    counts = plan_of(f"{wrapped}.{value}", SPELLED[form](token("lost")), form=form).counts

    assert (counts.unreadable, counts.identified, counts.others, counts.empty) == (2, 0, 0, 0)


def test_a_wrong_key_is_never_taken_for_a_key_of_others() -> None:
    """A key that is mistyped in its second half signs and does not decrypt: the cell stays, and counts as damaged."""
    keyring = Keyring(NEW, previous=[Key.parse(mistyped(key_text("old")))])
    cells = [f"{token('old', str(row))} {token('data')}" for row in range(20)]
    plan = plan_of(*cells, form=Format.EMBEDDED, keyring=keyring)

    assert not plan.changes
    assert (plan.counts.unreadable, plan.counts.others) == (20, 0)


@pytest.mark.parametrize("form", SPELLED)
@pytest.mark.parametrize("of_value", SPELLED)
def test_a_token_of_another_key_set_stays_and_is_no_token_of_others(form: Format, of_value: Format) -> None:
    """Its cell moves; it counts under its own key, so that the retirement of that key can see it."""
    value = SPELLED[of_value](token("redash"))
    plan = plan_of(f"{SPELLED[form](token('old'))} {value}", form=form)
    counts = done(plan)

    assert (counts.rotated, counts.others, counts.other_sets, counts.problems) == (1, 0, {REDASH.id: 1}, [])
    assert not counts.inner
    assert value in str(new_cells(plan)[1])


def test_without_leave_nothing_changes() -> None:
    """A target that does not say so keeps such cells as they are."""
    cell = f"{token('old')} {token('data')}"
    plan = plan_of(cell, form=Format.EMBEDDED, leaves_others=False)

    assert not plan.changes
    assert [(problem.category, plan.counts.others) for problem in plan.counts.problems] == [("unknown-key", 0)]


def test_other_ciphers_are_others() -> None:
    """Fernet's frame around AES-256, behind the prefix of AWX, is a token of no key of Fernet's."""
    counts = done(plan_of(f"{token('old')} {foreign_cells.awx_fernet256(b'hunter2')}", form=Format.EMBEDDED))

    assert (counts.rotated, counts.others, counts.problems) == (1, 1, [])


@pytest.mark.parametrize(
    "beside",
    [
        pytest.param(token("data"), id="in the format's form"),
        pytest.param(base64.b64encode(token("data").encode()).decode(), id="in another form"),
        pytest.param("".join(f"\\u{ord(letter):04x}" for letter in token("data")), id="in escapes"),
    ],
)
def test_what_is_beside_others_may_still_hide_a_token(beside: str) -> None:
    """A cell that is left in part is looked at as any other: its rest may hide a token in a form not looked for."""
    hidden = base64.b85encode(Fernet(key_text("old")).encrypt(b"x" * 90)).decode()
    counts = plan_of(f"{token('old')} {beside} {hidden}", f"{token('old')} {beside}", form=Format.EMBEDDED).counts

    assert counts.others == 2
    assert (1, SUSPECT) in [(problem.key[0], problem.category) for problem in counts.problems]


def test_a_left_token_says_nothing_of_a_lost_key() -> None:
    """The times of tokens that no key opens hint at a lost key; those of others do not count among them."""
    counts = plan_of(f"{token('old')} {token('data')}", token("lost"), form=Format.EMBEDDED).counts

    assert len(counts.lost) == 1


class Piece(NamedTuple):
    """A token in a cell, or a text."""

    kind: str
    form: Format
    text: str


KINDS = ("new", "old", "redash", "data", "damaged", "text")
ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126, exclude_characters="gAZ6"), max_size=12)


@st.composite
def pieces(draw: st.DrawFn) -> list[Piece]:
    """The parts of a cell, with tokens in any form and of any key."""
    found = []
    for kind, form, number in draw(
        st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from([*SPELLED]), st.integers(0, 60)), max_size=6)
    ):
        if kind == "text":
            found.append(Piece(kind, form, draw(ASCII)))
            continue
        whole = seal(b" " * 32, "old", ISSUED_AT + number) if kind == "damaged" else token(kind, "x" * number)
        found.append(Piece(kind, form, SPELLED[form](whole)))
    return found


@given(st.sampled_from([*SPELLED]), st.lists(pieces(), min_size=1, max_size=4), st.booleans(), st.sampled_from('. |"'))
def test_a_rotated_cell_differs_in_the_tokens_of_its_keys_alone(
    form: Format, cells: Sequence[Sequence[Piece]], as_bytes: bool, between: str
) -> None:
    """Whatever stands beside them stays byte for byte; each of them opens with stock Fernet under the primary key."""
    texts = [between.join(piece.text for piece in cell) for cell in cells]
    # Otherwise few sound tokens beside damaged ones would be taken for tokens of a mistyped key.
    options = {"form": form, "balance": Counter({OLD: 100})}
    plan = plan_of(*[text.encode() if as_bytes else text for text in texts], **options)
    written = {row: new.decode() if isinstance(new, bytes) else new for row, new in new_cells(plan).items()}

    for row, cell in enumerate(cells, 1):
        own = [piece for piece in cell if piece.kind in {"new", "old"}]
        sound = all(piece.kind != "damaged" for piece in cell) and all(piece.form == form for piece in own)
        assert (row in written) == (sound and any(piece.kind == "old" for piece in own))
    for row, new in written.items():
        at, expected = 0, list[str]()
        for piece in cells[row - 1]:
            now = new[at : at + len(piece.text)]
            at += len(piece.text) + len(between)
            # The old text cannot be the new token.
            moves = piece.kind == "old" and now != piece.text and opens(now, form)
            expected.append(now if moves else piece.text)
            assert moves == (piece.kind == "old")
        assert new == between.join(expected)
    left = [[piece.text for piece in cell if piece.kind == "data"] for cell in cells]
    readable = [row for row in range(1, len(cells) + 1) if row in written or is_current(cells[row - 1], form)]
    assert plan.counts.others == sum(len(left[row - 1]) for row in readable)


def is_current(cell: Sequence[Piece], form: Format) -> bool:
    """True if the tokens of the target's keys in it are under the primary key, and it has one."""
    own = {(piece.kind, piece.form) for piece in cell if piece.kind in {"new", "old", "damaged"}}
    return own == {("new", form)}


def opens(spelled: str, form: Format) -> bool:
    """True if stock Fernet opens it under the new key alone."""
    try:
        Fernet(key_text("new")).decrypt(DECODED[form](spelled))
    except InvalidToken:
        return False
    return True


def test_json_keeps_its_spelling() -> None:
    """What is around the tokens of a JSON text stays, escapes included."""
    document = {"é": token("old"), "v": token("data")}
    [new] = new_cells(plan_of(json.dumps(document), form=Format.EMBEDDED)).values()
    moved = json.loads(new)["é"]

    assert moved != document["é"]
    assert new == json.dumps(document | {"é": moved})
