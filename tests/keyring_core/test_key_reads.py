"""Reads are counted per key id, exactly, and never under a key that is suspended."""

from __future__ import annotations

import base64
import io
import json
import os
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
import structlog
from cryptography.fernet import InvalidToken, MultiFernet
from freezegun import freeze_time
from structlog.testing import capture_logs

from keyring_core import DamagedToken, ExpiredToken, Key, Keyring, MalformedToken, SuspendedKey, configure_logging
from keyring_core import key_reads as key_reads_module
from keyring_core.key_reads import KeyReads, key_reads
from keyring_core.keyring import RotationKeyring
from keyring_core.redaction import reset_logging
from tests.processes import in_a_fork

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


def damaged_under(key):
    """A token with the right tag around a block of zeros, which is no padding."""
    body = key.cbc(bytes(16)).encryptor().update(bytes(16))
    [damaged] = map(base64.urlsafe_b64encode, key.sealed([b"\x80" + bytes(24) + body]))
    return damaged


@pytest.mark.some(5)
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
        pytest.param(1, lambda ring, token: ring.key_for(token).fernet.decrypt(token), id="fernet.decrypt"),
        pytest.param(
            1,
            lambda ring, token: ring.key_for(token).fernet.decrypt_at_time(token, 60, int(NOON.timestamp())),
            id="fernet.at_time",
        ),
    ],
)
def test_each_way_to_open_a_token_counts_it_under_its_key(ring, old, number, read):
    """One for each token, with the time of the last, under the old key alone."""
    with freeze_time(NOON):
        sent = token(old)

        read(ring, sent)

    assert key_reads()[old.id] == KeyReads(number, NOON)
    assert key_reads()[ring.primary.id] == KeyReads()


@pytest.mark.parametrize("method", ["decrypt", "rotate"])
def test_a_stock_multi_fernet_of_the_keys_objects_opens_nothing_uncounted(ring, old, method):
    """It refuses them, or calls their own `decrypt`, by the version of cryptography."""
    reads = 0
    with suppress(TypeError, AttributeError):
        getattr(MultiFernet([key.fernet for key in ring.states]), method)(token(old))
        reads = 1

    assert opened(old) == reads


def test_what_opens_nothing_counts_nothing(ring, old):
    """Neither looking for the key, nor a damaged token, nor one that is too old, nor a text that is none."""
    damaged, own = damaged_under(old), damaged_under(ring.primary)
    late = old.fernet.encrypt_at_time(b"x", 0).decode()

    ring.key_for(token(old))
    ring.needs_rotation(token(old))
    ring.identify_many([token(old)])
    with pytest.raises(InvalidToken):
        ring.decrypt(late, ttl=1)
    for each in (damaged, own):
        with pytest.raises(DamagedToken):
            ring.decrypt(each)
    found = ring.decrypt_many([damaged, own, "sk-live-1"])
    assert [type(each) for each in found] == [DamagedToken, DamagedToken, MalformedToken]

    assert key_reads()[old.id] == key_reads()[ring.primary.id] == KeyReads()


def test_a_bound_key_counts_with_its_parent(ring, old):
    """Both have one id."""
    bound = ring.bind("users.api_key")

    bound.decrypt(old.bind("users.api_key").fernet.encrypt(b"x").decode())

    assert opened(old) == 1


def test_no_count_is_lost_under_threads(ring, old):
    """Eight threads that read at once, alone and many tokens together, add up exactly."""
    sent, own, begin = token(old), token(ring.primary), threading.Barrier(8)

    def read():
        begin.wait()
        for _ in range(500):
            ring.decrypt(sent)
            ring.decrypt(own)
        for _ in range(50):
            ring.decrypt_many([sent, own] * 10)

    threads = [threading.Thread(target=read) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()

    assert opened(old) == opened(ring.primary) == 8 * (500 + 50 * 10)


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


def test_the_time_of_a_read_with_the_primary_key_is_set_at_the_next_look(ring):
    """Reading with it costs no look at the clock; a look that finds nothing new leaves the time."""
    for when in (NOON, NOON.replace(hour=13)):
        with freeze_time(when):
            ring.decrypt(token(ring.primary))
            assert key_reads()[ring.primary.id].last_opened == when
        with freeze_time(when.replace(minute=30)):
            assert key_reads()[ring.primary.id].last_opened == when

    assert opened(ring.primary) == 2


def test_reads_as_a_primary_key_are_dated_when_another_takes_over(old):
    """Whenever somebody asks first: nothing has read with it since then."""
    with freeze_time(NOON):
        Keyring(old).decrypt(token(old))
        Keyring(Key.generate(), [old])
    with freeze_time(NOON.replace(day=30)):
        assert key_reads()[old.id] == KeyReads(1, NOON)


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


def test_a_primary_key_causes_no_event(ring):
    """In a batch neither, nor if it opens an unbound token for a column that is being bound."""
    own = token(ring.primary)

    with capture_logs() as lines:
        ring.decrypt_many([own] * 2)
        binding = ring.bind("users.api_key", accept_unbound=True)
        binding.decrypt(own)
        binding.decrypt_many([own] * 2)

    assert lines == []
    assert opened(ring.primary) == 5


def test_a_key_that_stops_being_the_primary_is_news_at_once(ring, old):
    """Its reads as the primary key began no day without events."""
    with freeze_time(NOON), capture_logs() as lines:
        Keyring(old).decrypt(token(old))
        ring.decrypt_many([token(old)] * 2)

    assert [(line["event"], line["state"], line["opened"]) for line in lines] == [("keyring.key_read", "previous", 3)]


def test_reads_of_a_program_without_logging_print_nothing(ring, old, capsys):
    """Structlog prints unless it is configured; a program that configures it later has its event a minute later."""
    structlog.reset_defaults()
    with freeze_time(NOON):
        ring.decrypt(token(old))
    assert capsys.readouterr() == ("", "")

    with capture_logs() as lines:
        for second in (59, 60):
            with freeze_time(NOON + timedelta(seconds=second)):
                ring.decrypt(token(old))

    assert [(line["event"], line["opened"]) for line in lines] == [("keyring.key_read", 3)]


def test_the_key_ids_of_events_are_not_masked(ring, trial, old):
    """An id is public, and it is what a reader of the log looks for."""
    stream = io.StringIO()
    configure_logging(stream=stream)
    try:
        ring.decrypt(token(old))
        with pytest.raises(SuspendedKey):
            trial.decrypt(token(old))
    finally:
        reset_logging()

    read, refused = map(json.loads, stream.getvalue().splitlines())
    assert (read["event"], read["key_id"], read["state"]) == ("keyring.key_read", old.id, "previous")
    assert (refused["event"], refused["key_id"], refused["refused"]) == ("keyring.key_refused", old.id, 1)
    assert (read["level"], refused["level"]) == ("info", "warning")


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda ring, token: ring.decrypt(token), id="decrypt"),
        pytest.param(lambda ring, token: ring.rotate(token), id="rotate"),
        pytest.param(lambda ring, token: ring.bind("a.b", accept_unbound=True).decrypt(token), id="bound"),
        pytest.param(lambda ring, token: ring.multi_fernet.decrypt(token), id="multi_fernet.decrypt"),
        pytest.param(lambda ring, token: ring.multi_fernet.rotate(token), id="multi_fernet.rotate"),
        pytest.param(
            lambda ring, token: ring.multi_fernet.decrypt_at_time(token, 60, int(NOON.timestamp())), id="at_time"
        ),
    ],
)
def test_a_suspended_key_refuses_names_itself_and_counts(trial, old, read):
    """The error is a stock InvalidToken, names the id and the command that ends it, and nothing was opened."""
    with freeze_time(NOON), pytest.raises(SuspendedKey, match=f"keys resume {old.id}") as caught:
        read(trial, token(old))

    assert isinstance(caught.value, InvalidToken)
    assert caught.value.key_id == old.id
    assert key_reads()[old.id] == KeyReads(0, None, 1, NOON)


@pytest.mark.parametrize("accept_unbound", [False, True])
def test_a_bound_key_is_suspended_with_its_parent(trial, old, accept_unbound):
    """A column with a context refuses what was bound under the suspended key, alone and many at once."""
    bound = trial.bind("a.b", accept_unbound=accept_unbound)
    sent = token(old.bind("a.b"))

    for read in (bound.decrypt, bound.rotate, bound.multi_fernet.decrypt):
        with pytest.raises(SuspendedKey, match=old.id):
            read(sent)
    [refused, moved] = [bound.decrypt_many([sent])[0], bound.rotate_many([sent])[0]]

    assert type(refused) is type(moved) is SuspendedKey
    assert key_reads()[old.id][::2] == (0, 5)


def test_many_at_once_are_refused_one_by_one(trial, old):
    """The token under the suspended key has its error; its neighbour opens."""
    refused, sound = trial.decrypt_many([token(old), token(trial.primary)])
    moved, _ = trial.rotate_many([token(old), token(trial.primary)])

    assert sound == "sk-live-1"
    assert isinstance(refused, SuspendedKey)
    assert isinstance(moved, SuspendedKey)
    assert key_reads()[old.id].refused == 2


def test_a_day_of_refusals_is_one_event(trial, old):
    """A warning with the first one; the count says how many there were."""
    with capture_logs() as lines:
        for when in (NOON, NOON.replace(hour=23), NOON.replace(day=30)):
            with freeze_time(when):
                trial.decrypt_many([token(old)] * 2)

    events = [(line["event"], line["log_level"], line["key_id"], line["refused"]) for line in lines]
    assert events == [("keyring.key_refused", "warning", old.id, 1), ("keyring.key_refused", "warning", old.id, 5)]


def test_a_token_that_is_too_old_is_not_refused(trial, old):
    """It would not open in any case, so that nothing needs the key."""
    with pytest.raises(ExpiredToken):
        trial.decrypt(old.fernet.encrypt_at_time(b"x", 0), ttl=1)

    assert key_reads()[old.id] == KeyReads()


def test_a_suspended_key_still_names_the_key_of_a_token(trial, old):
    """A census counts its tokens as before."""
    assert trial.key_for(token(old)) == old
    assert trial.identify_many([token(old)]) == [old]


def test_stock_errors_of_a_multi_fernet_stay(trial):
    """What is no token, or under no key here, is refused as stock MultiFernet refuses it."""
    for text in ("sk-live-1", token(Key.generate())):
        with pytest.raises(InvalidToken) as caught:
            trial.multi_fernet.decrypt(text)
        assert type(caught.value) is InvalidToken
    with pytest.raises(TypeError, match="token must be bytes or str"):
        trial.multi_fernet.decrypt(None)


def test_a_rotation_opens_tokens_under_a_suspended_key_and_counts_nothing(trial, old):
    """They are to be moved, and no service has read them."""
    ring = RotationKeyring(trial.primary, suspended=[old])

    assert ring.decrypt(ring.rotate(token(old))) == "sk-live-1"
    assert ring.bind("a.b", accept_unbound=True).decrypt(token(old)) == "sk-live-1"
    assert ring.decrypt_many([token(old)]) == ["sk-live-1"]
    assert ring.multi_fernet.decrypt(token(old)) == b"sk-live-1"
    assert key_reads()[old.id] == key_reads()[ring.primary.id] == KeyReads()


def test_a_rotation_reports_a_damaged_token(old):
    """As a service's keyring does."""
    with pytest.raises(DamagedToken, match=old.id):
        RotationKeyring(Key.generate(), suspended=[old]).decrypt(damaged_under(old))


def test_a_key_that_is_previous_and_suspended_is_suspended(ring, old):
    """Who adds a previous key to the suspended ones has suspended it; one that encrypts, or soon will, is not."""
    new = Key.generate()
    both = Keyring(ring.primary, [old], new, suspended=[old, ring.primary, new])

    assert both.states_by_id == {ring.primary.id: "primary", old.id: "suspended", new.id: "staged"}


def test_a_read_does_not_wait_for_an_event(ring, trial, old):
    """A signal handler may open a token while its own thread is about to log one: both are counted."""
    sent = token(old)

    def reads() -> bool:
        with key_reads_module._saying:
            ring.decrypt(sent)
            trial.decrypt_many([sent])
        counted = key_reads()[old.id]
        return (counted.opened, counted.refused) == (1, 1)

    assert in_a_fork(reads)


def test_a_forked_child_does_not_wait_for_a_lock_of_its_parent(ring, old):
    """A fork in the middle of another thread's event leaves the child its own events."""
    sent = token(old)

    def logs() -> bool:
        with capture_logs() as lines:
            ring.decrypt(sent)
        return [line["event"] for line in lines] == ["keyring.key_read"]

    with key_reads_module._saying:
        assert in_a_fork(logs)
