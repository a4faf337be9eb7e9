"""Reads are counted per key id, exactly, and never under a key that is suspended."""

from __future__ import annotations

import base64
import os
import threading
from datetime import UTC, datetime

import pytest
from cryptography.fernet import InvalidToken
from freezegun import freeze_time
from structlog.testing import capture_logs

from keyring_core import DamagedToken, Key, Keyring, MalformedToken, SuspendedKey
from keyring_core.key_reads import KeyReads, key_reads
from keyring_core.keyring import RotationKeyring

NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


@pytest.fixture
def old():
    return Key.generate()


@pytest.fixture
def ring(old):
    """A keyring whose previous key is *old*."""
    return Keyring(Key.generate(), [old])


@pytest.fixture
def trial(ring, old):
    """The same with *old* suspended."""
    return Keyring(ring.primary, suspended=[old])


def opened(key):
    return key_reads()[key.id].opened


def token(key, text="sk-live-1"):
    return key.fernet.encrypt(text.encode()).decode()


@pytest.mark.parametrize(
    ("number", "read"),
    [
        pytest.param(1, lambda ring, token: ring.decrypt(token), id="decrypt"),
        pytest.param(1, lambda ring, token: ring.decrypt_bytes(token), id="decrypt_bytes"),
        pytest.param(1, lambda ring, token: ring.rotate(token), id="rotate"),
        pytest.param(3, lambda ring, token: ring.decrypt_many([token] * 3), id="decrypt_many"),
        pytest.param(3, lambda ring, token: ring.decrypt_bytes_many([token] * 3), id="decrypt_bytes_many"),
        pytest.param(3, lambda ring, token: ring.rotate_many([token] * 3), id="rotate_many"),
        pytest.param(1, lambda ring, token: ring.multi_fernet.decrypt(token), id="multi_fernet.decrypt"),
        pytest.param(
            1, lambda ring, token: ring.multi_fernet.decrypt_at_time(token, 60, int(NOON.timestamp())), id="at_time"
        ),
        pytest.param(1, lambda ring, token: ring.multi_fernet.rotate(token), id="multi_fernet.rotate"),
    ],
)
def test_each_way_to_open_a_token_counts_it_under_its_key(ring, old, number, read):
    """One for each token, with the time of the last, under the old key alone."""
    with freeze_time(NOON):
        sent = token(old)

        read(ring, sent)

    assert key_reads()[old.id] == KeyReads(number, NOON)
    assert key_reads()[ring.primary.id] == KeyReads()


def test_what_opens_nothing_counts_nothing(ring, old):
    """Neither looking for the key, nor a damaged token, nor one that is too old, nor a text that is none."""
    # The right tag around a block of zeros, which is no padding.
    body = old.cbc(bytes(16)).encryptor().update(bytes(16))
    [damaged] = map(base64.urlsafe_b64encode, old.sealed([b"\x80" + bytes(24) + body]))
    late = old.fernet.encrypt_at_time(b"x", 0).decode()

    ring.key_for(token(old))
    ring.needs_rotation(token(old))
    ring.identify_many([token(old)])
    with pytest.raises(InvalidToken):
        ring.decrypt(late, ttl=1)
    with pytest.raises(DamagedToken):
        ring.decrypt(damaged)
    assert [type(each) for each in ring.decrypt_many([damaged, "sk-live-1"])] == [DamagedToken, MalformedToken]

    assert key_reads()[old.id] == KeyReads()


def test_a_bound_key_counts_with_its_parent(ring, old):
    """Both have one id."""
    bound = ring.bind("users.api_key")

    bound.decrypt(old.bind("users.api_key").fernet.encrypt(b"x").decode())

    assert opened(old) == 1


def test_no_count_is_lost_under_threads(ring, old):
    """Eight threads that read at once, alone and many tokens together, add up exactly."""
    sent, begin = token(old), threading.Barrier(8)

    def read():
        begin.wait()
        for _ in range(500):
            ring.decrypt(sent)
        for _ in range(50):
            ring.decrypt_many([sent] * 10)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert opened(old) == 8 * (500 + 50 * 10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_begins_at_zero(ring, old):
    """The child has opened nothing yet, and counts for itself; the parent's numbers stay."""
    sent = token(old)
    ring.decrypt(sent)
    child = os.fork()
    if not child:
        before = opened(old)
        ring.decrypt(sent)
        os._exit(before * 10 + opened(old))

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 1
    assert opened(old) == 1


def test_one_event_a_day_tells_of_a_previous_key(ring, old):
    """The first read and the first of the next day are logged; reads with the primary key never."""
    sent, own = token(old), token(ring.primary)

    with capture_logs() as lines:
        for when in (NOON, NOON.replace(hour=23), NOON.replace(day=30), NOON.replace(day=30, hour=13)):
            with freeze_time(when):
                ring.decrypt(sent)
                ring.decrypt(own)

    events = [(line["event"], line["key_id"], line["state"], line["opened"]) for line in lines]
    assert events == [("keyring.key_read", old.id, "previous", 1), ("keyring.key_read", old.id, "previous", 3)]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda ring, token: ring.decrypt(token), id="decrypt"),
        pytest.param(lambda ring, token: ring.rotate(token), id="rotate"),
        pytest.param(lambda ring, token: ring.bind("a.b", accept_unbound=True).decrypt(token), id="bound"),
    ],
)
def test_a_suspended_key_refuses_names_itself_and_counts(trial, old, read):
    """The error is a stock InvalidToken, names the id and the command that ends it, and nothing was opened."""
    with freeze_time(NOON), pytest.raises(SuspendedKey, match=f"keys resume {old.id}") as caught:
        read(trial, token(old))

    assert isinstance(caught.value, InvalidToken)
    assert caught.value.key_id == old.id
    assert key_reads()[old.id] == KeyReads(0, None, 1, NOON)


def test_many_at_once_are_refused_one_by_one(trial, old):
    """The token under the suspended key has its error; its neighbour opens."""
    refused, sound = trial.decrypt_many([token(old), token(trial.primary)])
    moved, _ = trial.rotate_many([token(old), token(trial.primary)])

    assert sound == "sk-live-1"
    assert isinstance(refused, SuspendedKey)
    assert isinstance(moved, SuspendedKey)
    assert key_reads()[old.id].refused == 2


def test_a_suspended_key_still_names_the_key_of_a_token(trial, old):
    """A census counts its tokens as before."""
    assert trial.key_for(token(old)) == old
    assert trial.identify_many([token(old)]) == [old]


def test_stock_fernet_of_the_keyring_lacks_the_suspended_key(trial, old):
    """Code that reads through it meets what it will meet after the retirement."""
    with pytest.raises(InvalidToken):
        trial.multi_fernet.decrypt(token(old))


def test_a_rotation_opens_tokens_under_a_suspended_key_and_counts_nothing(trial, old):
    """They are to be moved, and no service has read them."""
    ring = RotationKeyring(trial.primary, suspended=[old])

    assert ring.decrypt(ring.rotate(token(old))) == "sk-live-1"
    assert ring.bind("a.b", accept_unbound=True).decrypt(token(old)) == "sk-live-1"
    assert ring.decrypt_many([token(old)]) == ["sk-live-1"]
    assert key_reads()[old.id] == KeyReads()


def test_a_key_that_is_previous_and_suspended_is_suspended(ring, old):
    """Who adds a previous key to the suspended ones has suspended it, wherever else it stands."""
    both = Keyring(ring.primary, previous=[old], suspended=[old, ring.primary])

    assert both.states_by_id == {ring.primary.id: "primary", old.id: "suspended"}
