"""Cells that are not a sound token of the keyring, in one batch: some become tokens, and the rest is counted."""

from __future__ import annotations

import pytest

from keyring_core import Keyring
from keyring_core.tokens import parse_token, timestamp_of
from rotation.model.batch import NO_KEY, Swaps, Written, count_swaps
from rotation.model.counts import PARTS, Counts
from rotation.model.target import Adopts
from rotation.planning.planner import Planner
from rotation.planning.rules import Takeover
from tests.fakes import ISSUED_AT, batch_of, token
from tests.keyring_core.legacy.known_cells import BY_NAME, cells_of, environ_of, legacy_of
from tests.keys import make_key

FERNET = BY_NAME["advanced-alchemy 1.12.0"]
READER = legacy_of(FERNET).reader(environ_of(FERNET))
FOREIGN, PLAINTEXT = list(cells_of(FERNET))[1]
MIXED = {
    "old": token("old"),
    "foreign": str(FOREIGN),
    "plain": "hunter2",
    "current": token("new"),
    "lost": token("nobody"),
    "null": None,
    "empty": "",
    "cut": token("old")[:50],
    "older": token("older"),
    "foreign again": str(FOREIGN),
}
ROWS = [((name,), cell) for name, cell in MIXED.items()]


def check_sum(counts: Counts) -> None:
    """Each cell is counted once."""
    assert counts.scanned == sum(getattr(counts, name) for name in PARTS[1:])


@pytest.mark.parametrize(
    ("takeover", "taken"),
    [
        (Takeover(), []),
        (Takeover(READER), ["foreign", "foreign again"]),
        (Takeover(None, Adopts.PLAINTEXT), ["plain"]),
        (Takeover(READER, Adopts.PLAINTEXT), ["foreign", "plain", "foreign again"]),
    ],
    ids=["neither", "from", "adopt", "both"],
)
def test_each_cell_is_written_or_counted_once(keyring: Keyring, takeover: Takeover, taken: list[str]) -> None:
    """The swaps are in the order of the rows; each has the text of its own row."""
    plan = Planner(keyring, takeover=takeover).plan(batch_of(ROWS))

    expected = [name for name in MIXED if name in {"old", "older", *taken}]
    assert [key for (key,) in plan.swaps.keys] == expected
    assert list(plan.swaps.old) == [MIXED[name] for name in expected]
    texts = {"old": b"secret", "older": b"secret", "plain": b"hunter2"}
    assert [keyring.decrypt_bytes(new) for new in plan.swaps.new] == [texts.get(name, PLAINTEXT) for name in expected]
    assert [key_id == NO_KEY for key_id in plan.key_ids] == [name in taken for name in expected]
    assert plan.counts.taken_over == len(taken)
    assert {key for (key,), *_ in plan.counts.problems} == {"foreign", "plain", "lost", "cut", "foreign again"} - {
        *taken
    }

    count_swaps(plan, Written(), keyring.primary.id)
    assert (plan.counts.rotated, plan.counts.under[keyring.primary.id]) == (len(expected), len(expected) + 1)
    check_sum(plan.counts)


def test_a_token_keeps_the_time_of_a_foreign_one(keyring: Keyring) -> None:
    """Plaintext has none, so that its token is of now."""
    plan = Planner(keyring, takeover=Takeover(READER, Adopts.PLAINTEXT)).plan(batch_of(ROWS))

    times = {key: parse_token(new).timestamp for (key,), new in zip(plan.swaps.keys, plan.swaps.new, strict=True)}
    assert times["foreign"] == parse_token(FOREIGN).timestamp
    assert times["old"] == ISSUED_AT
    assert times["plain"] > times["foreign"]
    assert [timestamp_of(signed) for signed in plan.signed] == list(times.values())


def test_a_cell_that_a_service_rewrote_is_not_taken_over(keyring: Keyring) -> None:
    """It is unsettled, whether it was plaintext or of a package; it is under no key that anybody knows."""
    plan = Planner(keyring, takeover=Takeover(READER, Adopts.PLAINTEXT)).plan(batch_of(ROWS))

    count_swaps(
        plan, Written(lost={("plain",)}, refused={("foreign",): ("refused", "a constraint")}), keyring.primary.id
    )

    counts = plan.counts
    assert (counts.taken_over, counts.rotated, counts.unsettled) == (1, 3, 2)
    assert counts.under.keys() == {keyring.primary.id}
    assert {(key, category) for (key,), category, _ in counts.problems} >= {
        ("plain", "rewritten"),
        ("foreign", "refused"),
    }
    check_sum(counts)


def test_bound_tokens_are_made_of_taken_cells(keyring: Keyring) -> None:
    """With the target's context: the unbound keyring does not open them."""
    bound = keyring.bind("users.api_key", accept_unbound=True)

    plan = Planner(bound, takeover=Takeover(READER, Adopts.PLAINTEXT)).plan(batch_of(ROWS))

    strict = Keyring(make_key("new")).bind("users.api_key")
    assert len([strict.decrypt(new) for new in plan.swaps.new]) == 6  # the current one is not bound yet


def test_bytes_and_text_keep_their_types(keyring: Keyring) -> None:
    """As SQLite has them, side by side in one column."""
    rows = [((1,), b"hunter2"), ((2,), "hunter2"), ((3,), token("old").encode()), ((4,), 5)]

    plan = Planner(keyring, takeover=Takeover(None, Adopts.PLAINTEXT)).plan(batch_of(rows))

    assert [type(new) for new in plan.swaps.new] == [bytes, str, bytes, str]
    assert isinstance(plan.swaps, Swaps)
    assert keyring.decrypt(plan.swaps.new[3]) == "5"
