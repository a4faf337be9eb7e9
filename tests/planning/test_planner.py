"""The plan of a batch: each cell is written or counted once, and wrong companions are found."""

from __future__ import annotations

import base64
import gzip
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings

from keyring_core import InvalidToken, Key, Keyring
from keyring_core.tokens import iv_of, timestamp_of
from rotation.model.batch import Batch, are_all, weight_of
from rotation.model.counts import KEPT_PROBLEMS, Counts
from rotation.model.target import Adopts
from rotation.planning import inner_tokens
from rotation.planning.planner import Planner
from rotation.planning.rules import Takeover
from tests.conftest import Named
from tests.fakes import ISSUED_AT, batch_of, token
from tests.keyring_core.test_tokens import seal
from tests.keys import key_text, mistyped
from tests.planning.test_inner_tokens import DECOYS, KEYRING, dressed
from tests.planning.test_inner_tokens import OLD as OLD_ID

CELLS = {
    1: token("new"),
    2: token("old"),
    3: token("older"),
    4: None,
    5: "",
    6: "hunter2",
    7: token("old")[:60],
    8: token("old") + token("old"),
    9: token("unknown"),
    10: token("staged"),
    11: token("old").encode(),
    12: 12345,
}


@pytest.fixture
def keyring(new: Key, old: Key, older: Key, staged: Key) -> Keyring:
    return Keyring(new, previous=[old, older], staged=staged)


@pytest.fixture
def staged() -> Key:
    from tests.keys import make_key

    return make_key("staged")


def _rows() -> list[tuple[tuple[int], object]]:
    return [((row,), cell) for row, cell in CELLS.items()]


def test_each_cell_is_counted_once(keyring: Keyring) -> None:
    """Every cell but a NULL is current, planned, empty, plaintext, unreadable or a conflict."""
    swaps, _, _, counts, *_ = Planner(keyring).plan(batch_of(_rows()))

    assert counts.null == 1
    assert counts.scanned == len(CELLS) - 1
    assert (counts.current, len(swaps), counts.empty, counts.plaintext) == (1, 3, 1, 2)
    assert (counts.unreadable, counts.unsettled) == (3, 1)
    assert swaps.keys == [(2,), (3,), (11,)]


def test_a_dry_run_counts_what_a_run_would_rotate(keyring: Keyring) -> None:
    """It plans nothing, and its counts are the run's."""
    swaps, _, _, counts, *_ = Planner(keyring, dry_run=True).plan(batch_of(_rows()))

    assert not swaps
    assert (counts.to_rotate, counts.rotated) == (3, 0)


def test_a_token_under_the_staged_key_is_left(keyring: Keyring, staged: Key) -> None:
    """R06: a token must not move away from the next key; its row is reported, with the key's id."""
    counts = Planner(keyring).plan(batch_of(_rows())).counts

    [problem] = [problem for problem in counts.problems if problem.category == "staged-key"]
    assert problem.key == (10,)
    assert staged.id in problem.detail


def test_a_change_keeps_the_cells_type(keyring: Keyring) -> None:
    """Text stays text and bytes stay bytes, or the comparison of the write would fail."""
    swaps = Planner(keyring).plan(batch_of(_rows())).swaps

    assert [type(cell) for cell in swaps.new] == [str, str, bytes]


def test_a_plan_knows_what_is_public_of_the_old_token(keyring: Keyring, old: Key) -> None:
    """Its key's id, its time and its IV: enough to know the token again."""
    _, key_ids, signed, *_ = Planner(keyring).plan(batch_of(_rows()))

    assert (key_ids[0], timestamp_of(signed[0]), len(iv_of(signed[0]))) == (old.id, ISSUED_AT, 16)


def test_each_key_knows_its_oldest_and_youngest_token(keyring: Keyring, new: Key, old: Key, staged: Key) -> None:
    """The exact times per key, whatever a run would do to the tokens; what no key opens is left out."""
    times = {"new": [50, 2**64 - 1, 70], "old": [9, 8], "staged": [5], "unknown": [1]}
    rows = [((label, time), token(label, issued_at=time)) for label, each in times.items() for time in each]
    total = Counts()
    for row in rows:
        total.add(Planner(keyring, dry_run=True).plan(batch_of([row])).counts)

    for counts in (Planner(keyring, dry_run=True).plan(batch_of(rows)).counts, total):
        assert counts.oldest == {new.id: 50, old.id: 8, staged.id: 5}
        assert counts.youngest == {new.id: 2**64 - 1, old.id: 9, staged.id: 5}
        assert counts.ages == {"1970-01": 5, "9999-12": 1}
        assert counts.under == {new.id: 3, old.id: 2, staged.id: 1}


def test_tokens_that_no_key_opens_leave_their_times(keyring: Keyring) -> None:
    """The times of lost tokens are kept, up to a bound; a damaged text has none."""
    total = Counts()
    for time in (5, 9, 7, 8):
        rows = [
            (("x",), token("unknown", issued_at=time)),
            (("y",), token("old")[:-4]),
            (("z",), token("old")),
        ]
        total.add(Planner(keyring).plan(batch_of(rows)).counts, keep=3)

    assert total.lost == [5, 9, 7]


def test_problems_come_in_the_order_of_the_rows(keyring: Keyring) -> None:
    """Also where tokens of one length were looked at together, and one turned out damaged while it was rotated."""
    cells = [token("old"), "hunter2", seal(b" " * 32, "old", ISSUED_AT), token("unknown"), token("old")[:60]]
    rows = [((number,), cell) for number, cell in enumerate([*cells, token("old")])]
    counts = Planner(keyring).plan(batch_of(rows)).counts

    categories = [(problem.key[0], problem.category) for problem in counts.problems]
    assert categories == [(1, "plaintext"), (2, "damaged"), (3, "unknown-key"), (4, "truncated")]
    assert (counts.plaintext, counts.unreadable) == (1, 3)


@pytest.mark.parametrize("dry_run", [True, False])
def test_what_a_mistyped_key_decrypts_is_not_believed(new: Key, dry_run: bool) -> None:
    """K26: it signs as the right one does, and one in 256 of its tokens decrypts to something else; none is written."""
    wrong = Keyring(new, previous=[mistyped(key_text("old"))])
    opened = 0
    for length in range(1, 21):
        rows = [((number,), token("old", "x" * length)) for number in range(100)]
        found = wrong.decrypt_many([str(row[1]) for row in rows])
        opened += sum(not isinstance(each, InvalidToken) for each in found)
        swaps, _, _, counts, *_ = Planner(wrong, dry_run=dry_run).plan(batch_of(rows))

        assert (len(swaps), counts.to_rotate, counts.unreadable) == (0, 0, 100)
    assert 0 < opened < 50


def test_two_mistyped_keys_in_one_batch_are_counted(new: Key) -> None:
    """K26: nothing of the batch is left to write, whichever of the keys a token is under."""
    wrong = Keyring(new, previous=[mistyped(key_text("old")), mistyped(key_text("older"))])
    # One token in 256 decrypts under a mistyped key, and a key of which the only one does is believed.
    cells = [
        next(
            cell
            for cell in (token(label, str(n)) for n in count())
            if isinstance(wrong.decrypt_many([cell])[0], InvalidToken)
        )
        for label in ("old", "older")
    ]
    swaps, _, _, counts, *_ = Planner(wrong).plan(batch_of([((1,), cells[0]), ((2,), cells[1])]))

    assert (len(swaps), counts.unreadable) == (0, 2)


def test_a_mistyped_key_is_known_from_batch_to_batch(new: Key) -> None:
    """K26: from the first token that does not decrypt on, a single one in a batch is not believed either."""
    wrong, balance = Keyring(new, previous=[mistyped(key_text("old"))]), Counter[Key]()
    cells = [token("old", f"secret {number}") for number in range(2000)]
    begin = next(at for at, found in enumerate(wrong.decrypt_many(cells)) if isinstance(found, InvalidToken))
    batches = [[((1,), token("new")), ((2,), cell)] for cell in cells[begin:]]

    assert [plan for rows in batches for plan in Planner(wrong, balance=balance).plan(batch_of(rows)).swaps.keys] == []


def test_a_damaged_token_does_not_outvote_the_batches_before_it(keyring: Keyring) -> None:
    """A key most of whose tokens decrypt is the right one, also where two in one batch differ."""
    balance = Counter[Key]()
    Planner(keyring, balance=balance).plan(batch_of([((1,), token("old"))]))
    rows = [((2,), seal(b" " * 32, "old", ISSUED_AT)), ((3,), token("old"))]

    assert len(Planner(keyring, balance=balance).plan(batch_of(rows)).swaps) == 1


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_damaged_token_hides_no_sound_one(keyring: Keyring, dry_run: bool) -> None:
    """A key most of whose tokens decrypt is the right one, also where their lengths differ."""
    cells = [seal(b" " * 32, "old", ISSUED_AT), token("old"), token("old", "a longer secret than that")]
    batch = batch_of([((row,), cell) for row, cell in enumerate(cells)])
    swaps, _, _, counts, *_ = Planner(keyring, dry_run=dry_run).plan(batch)

    assert (len(swaps) + counts.to_rotate, counts.unreadable) == (2, 1)


def test_no_problem_shows_its_cell(keyring: Keyring) -> None:
    """A detail names the fault and holds nothing of the cell."""
    counts = Planner(keyring).plan(batch_of(_rows())).counts

    shown = " ".join(problem.detail for problem in counts.problems)
    assert len(counts.problems) == 6
    assert "gAAAAA" not in shown
    assert "hunter2" not in shown


OLD = token("old", "x" * 20)
DRESSED = {
    "JSON": f'{{"token": "{token("old")}"}}',
    "hex": token("old").encode().hex(),
    "base64": base64.b64encode(b'{"user":7,"token":"' + token("old").encode() + b'"}').decode(),
    "escapes": "".join(f"\\u{ord(character):04x}" for character in token("old")),
    "percent": "".join(f"%{ord(character):02x}" for character in token("old")),
    "standard alphabet": "key: " + token("old").replace("-", "+").replace("_", "/"),
    "wrapped": "key:\n" + "\n".join(OLD[at : at + 64] for at in range(0, 140, 64)),
    "glued": token("old") + token("old", "another"),
    "glued to a digest": token("old", "x" * 20).rstrip("=") + "0123456789abcdef" * 4,
    "raw": base64.urlsafe_b64decode(token("old")),
    "UTF-16": token("old").encode("utf-16-le"),
}


@settings(max_examples=300, deadline=None)
@given(dressed())
def test_a_census_misses_no_dressed_token(value: tuple[bytes, list[str]]) -> None:
    """Any token in any dress, as bytes or as text, counts under its key: by itself, or as part of something else."""
    cells = [value[0], value[0].decode()] if value[0].isascii() else [value[0]]
    for cell in cells:
        counts = Planner(KEYRING, dry_run=True).plan(batch_of([((1,), cell)])).counts

        assert counts.under[OLD_ID] + counts.inner[OLD_ID] >= 1
        assert (counts.plaintext, counts.suspects) == (0, 0)


def test_a_cell_that_holds_a_token_is_unreadable_and_counts_under_its_key(
    keyring: Keyring, old: Key, named: Named
) -> None:
    """D33, T17, T66 to T72: whatever it wears, it is no plaintext, and its key is needed; a run says so, too."""
    for dry_run in (True, False):
        for dress, cell in DRESSED.items():
            with named(dress, "in a dry run" if dry_run else "in a run"):
                counts = Planner(keyring, dry_run=dry_run).plan(batch_of([((1,), cell)])).counts

                assert (counts.unreadable, counts.plaintext, counts.suspects) == (1, 0, 0)
                assert counts.inner == {old.id: 2 if dress == "glued" else 1}
                assert counts.problems[0].category != "plaintext"


def test_a_hidden_token_under_a_foreign_key_is_no_plaintext(keyring: Keyring) -> None:
    """It is reported as an inner token, and counts under none of the keys."""
    counts = Planner(keyring).plan(batch_of([((1,), token("nobody").encode().hex())])).counts

    assert (counts.categories, counts.inner) == ({"encoded-token": 1}, {})


@pytest.mark.some(1)
@pytest.mark.parametrize("adopts", Adopts)
def test_a_cell_that_cannot_be_searched_to_the_end_is_no_plaintext(
    keyring: Keyring, adopts: Adopts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a search gives up on blocks as an unreadable cell does, and is never encrypted: it may hold a token."""
    monkeypatch.setattr(inner_tokens, "WORK", 0)
    plan = Planner(keyring, takeover=Takeover(None, adopts)).plan(batch_of([((1,), DECOYS.hex())]))

    assert plan.changes == 0
    assert plan.counts.categories == {"not-a-token": 1}
    assert (plan.counts.unreadable, plan.counts.given_up) == (1, 1)


def test_a_token_that_no_key_opens_is_nothing_inside(keyring: Keyring) -> None:
    """A bare token is part of nothing, whether its key is unknown or its content is damaged."""
    rows = [((1,), token("unknown")), ((2,), seal(b" " * 32, "old", ISSUED_AT))]
    sound = [((row,), token("old")) for row in range(3, 6)]
    counts = Planner(keyring, dry_run=True).plan(batch_of([*rows, *sound])).counts

    assert (counts.unreadable, counts.inner, counts.nested) == (2, {}, 0)


def test_plaintext_that_has_room_for_a_token_is_suspect(keyring: Keyring, named: Named) -> None:
    """D03: a token is random and nothing makes it shorter: 73 bytes may hide one, fewer cannot."""
    cases = {
        "as long as a token's bytes": ("x" * 73, 1),
        "shorter than any token": ("x" * 72, 0),
        "75 bytes in 25 characters": ("\u20ac" * 25, 1),
        "prose": ("Correct horse battery staple. " * 3, 1),
        "a short JSON document": ('{"scope": "read", "expires": 3600}', 0),
        "a token that is compressed": (gzip.compress(token("old").encode()).hex(), 1),
        "a token that is backwards": (token("old")[::-1], 1),
        "what is told as unreadable already": (token("old")[:-4], 0),
        "an empty cell": ("", 0),
        "NULL": (None, 0),
    }

    for name, (cell, number) in cases.items():
        for dry_run in (True, False):
            with named(name, dry_run):
                counts = Planner(keyring, dry_run=dry_run).plan(batch_of([((1,), cell), ((2,), "hunter2")])).counts

                assert counts.suspects == number


def test_what_is_hidden_adds_up() -> None:
    """A target's counts are the sums of its batches'."""
    total, batch = Counts(), Counts(inner=Counter({"5f0c1a9e": 2}), suspects=3, nested=1, given_up=2)
    total.add(batch)
    total.add(batch)

    assert (total.inner, total.suspects, total.nested, total.given_up) == ({"5f0c1a9e": 4}, 6, 2, 4)


def test_a_targets_counts_keep_the_first_problems_and_the_number_of_all() -> None:
    """Memory is bounded; the number is not."""
    total, batch = Counts(), Counts()
    for row in range(KEPT_PROBLEMS):
        batch.note((row,), "truncated", "")
    total.add(batch)
    total.add(batch)

    assert len(total.problems) == KEPT_PROBLEMS
    assert total.categories["truncated"] == 2 * KEPT_PROBLEMS


@pytest.mark.parametrize(
    ("values", "weight"),
    [(["ab", b"\xff"], 3), (["ab", None, 7, "c"], 3), ([], 0)],
    ids=["texts and bytes", "others weigh nothing", "none"],
)
def test_texts_and_bytes_have_a_weight(values: list[object], weight: int) -> None:
    """Characters of a text, bytes of bytes."""
    assert weight_of(values) == weight


def test_a_subclass_is_another_type() -> None:
    """A bool is no whole number here: it is looked at one by one."""
    assert are_all([1, 2], int)
    assert not are_all([1, True], int)


MIXED = {
    "old": token("old"),
    "current": token("new"),
    "lost": token("nobody"),
    "empty": "",
    "null": None,
    "plain": "sk-live",
}


@pytest.mark.parametrize(
    ("cells", "misfits", "found"),
    [
        (["current"] * 5, {0, 3, 4}, {0, 3, 4}),
        (["old", "current", "lost", "empty", "null", "plain", "current"], {0, 1, 2, 3, 4, 5, 6}, {1, 6}),
        (["current", "old", "current"], {0, 1}, {0}),
        (["old", "lost"], {0, 1}, set()),
        (["current"], {7}, set()),
        (["current", "current"], set(), set()),
    ],
)
def test_only_current_misfits_are_fixed(keyring: Keyring, cells: list[str], misfits: set[int], found: set[int]) -> None:
    """Each keeps its cell; a row that is rotated anyway, and one without a token, is left out."""
    held = [MIXED[name] for name in cells]
    batch = Batch([(number,) for number in range(len(held))], held, misfits=frozenset((each,) for each in misfits))

    planner = Planner(keyring)

    fixes = planner.fixes(batch, planner.plan(batch))

    assert {key for (key,) in fixes.keys} == found
    assert list(fixes.old) == list(fixes.new) == [held[key] for (key,) in fixes.keys]
