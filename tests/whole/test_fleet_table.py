"""Who reads whose tokens while a fleet is half way through a change of keys: every pair of states, as one table."""

from __future__ import annotations

import itertools

import pytest

from keyring_core import Keyring, UndecryptableToken
from keyring_core.config import load_keyring
from tests.keys import key_text, make_key

OLD, NEW = key_text("old"), key_text("new")
SECRET = "sk-live-4f9c"

STATES = {
    "old": {"ENCRYPTION_KEY": OLD},
    "old+staged": {"ENCRYPTION_KEY": OLD, "ENCRYPTION_STAGED_KEY": NEW},
    "new+previous": {"ENCRYPTION_KEY": NEW, "ENCRYPTION_PREVIOUS_KEYS": OLD},
    "new": {"ENCRYPTION_KEY": NEW},
}
"""The environments of a service, in the order in which a change of keys goes through them."""

WRITES = {"old": "old", "old+staged": "old", "new+previous": "new", "new": "new"}

# Rows read, columns wrote.
TABLE = """
                old   old+staged   new+previous   new
old             yes   yes          no             no
old+staged      yes   yes          yes            yes
new+previous    yes   yes          yes            yes
new             no    no           yes            yes
"""
HEADER, *ROWS = (line.split() for line in TABLE.strip().splitlines())
CELLS = [(row[0], writer, answer == "yes") for row in ROWS for writer, answer in zip(HEADER, row[1:], strict=True)]


def service(state: str) -> Keyring:
    """The keyring of a service in that state, from its environment."""
    return load_keyring(STATES[state])


def test_the_table_is_whole():
    """Every pair of states stands in the table, once."""
    assert [(reader, writer) for reader, writer, _ in CELLS] == [(r, w) for r in STATES for w in STATES]


@pytest.mark.parametrize(("reader", "writer", "reads"), CELLS, ids=str)
def test_who_reads_whose_tokens(reader, writer, reads):
    """A service reads another's tokens exactly where it knows the key that the other one encrypts with."""
    token = service(writer).encrypt(SECRET)

    if reads:
        assert service(reader).decrypt(token) == SECRET
    else:
        with pytest.raises(UndecryptableToken, match=f"tried {make_key(WRITES[reader]).id}"):
            service(reader).decrypt(token)


@pytest.mark.parametrize(("reader", "writer", "reads"), CELLS, ids=str)
def test_who_rotates_whose_tokens(reader, writer, reads):
    """What a service can read it can rotate to its own primary key, alone and in a batch, and reads it then."""
    ring, token = service(reader), service(writer).encrypt(SECRET)
    (many,) = ring.rotate_many([token])

    if not reads:
        assert isinstance(many, UndecryptableToken)
        return
    for rotated in (ring.rotate(token), many):
        assert ring.key_for(rotated) == make_key(WRITES[reader])
        assert ring.decrypt(rotated) == SECRET


def test_a_fleet_may_stand_in_two_neighbouring_states():
    """Each step of the procedure is safe in any order of restarts: neighbours in the table read each other's tokens.

    So is what is stored: the last step, which forgets the old key, comes after everything was rotated to the new one.
    """
    reads = {(reader, writer) for reader, writer, answer in CELLS if answer}
    order = list(STATES)

    steps = [(before, after) for before, after in itertools.pairwise(order) if after != "new"]
    assert steps == [("old", "old+staged"), ("old+staged", "new+previous")]
    for before, after in steps:
        assert {(before, after), (after, before)} <= reads
    # Both write under the new key in the last step.
    assert {("new+previous", "new"), ("new", "new+previous")} <= reads
    # What staging is for: without it the first two that restart write what the others cannot read.
    assert ("old", "new+previous") not in reads
