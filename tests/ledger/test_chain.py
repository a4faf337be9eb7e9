"""The chain of events explains what the ledger holds: whatever is changed, removed or put in between is found."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from keyring_core import KeyState
from rotation.audit.differences import differences, replay
from rotation.ledger import schema as tables
from rotation.ledger.chain import (
    FIRST_PREVIOUS,
    Chain,
    EventRecord,
    Head,
    canonical,
    digest_of,
    linked,
    utc_text,
)
from rotation.ledger.database import LedgerError
from rotation.ledger.ledger import Ledger
from tests.databases import Database
from tests.ledger.test_ledger import NEW, OLD, T0, Clock, clock, opened_by

pytestmark = pytest.mark.database
__all__ = ["clock"]


@pytest.fixture
def ledger(database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """A rotation: two keys, the older one suspended and retired with a certificate."""
    with opened_by(clock, database, monkeypatch) as opened:
        opened.see_keys({OLD: KeyState.PRIMARY}, "billing")
        for day, (key_id, event) in enumerate([(NEW, "staged"), (NEW, "promoted"), (OLD, "suspended")], 1):
            clock.step(days=1)
            opened.mark(key_id, event, "billing", by=f"admin {day}")  # type: ignore[arg-type]
        opened.keep_certificate({"certificate": 1, "key": OLD, "service": "billing", "by": "admin 4"})
        opened.mark(OLD, "retired", "billing", forced=True, by="admin 4")
        yield opened


def whole(ledger: Ledger) -> Chain:
    chain = ledger.chain()
    assert differences(chain) == []
    return chain


def test_each_change_is_an_event_with_its_facts(ledger: Ledger) -> None:
    """Who, when, what was set; each holds the digest of the one before it, and the first names the ledger."""
    chain = whole(ledger)

    assert [(event.number, event.event, event.key_id, event.by) for event in chain.events] == [
        (1, "began", None, None),
        (2, "found", OLD, None),
        (3, "staged", NEW, "admin 1"),
        (4, "promoted", NEW, "admin 2"),
        (5, "suspended", OLD, "admin 3"),
        (6, "certified", OLD, "admin 4"),
        (7, "retired", OLD, "admin 4"),
    ]
    assert [event.previous for event in chain.events] == [FIRST_PREVIOUS, *(each.digest for each in chain.events[:-1])]
    assert chain.head == Head(7, chain.events[-1].digest)
    [certificate] = ledger.certificates()
    assert (certificate["ledger"], certificate["event"], certificate["head"]) == (
        chain.ledger,
        6,
        chain.events[4].digest,
    )
    assert chain.events[6].document == {"sets": {"retired": utc_text(chain.events[6].at), "forced": True}}


def test_the_events_say_the_dates_of_each_key(ledger: Ledger) -> None:
    """Played again they end in the rows of the keys' table; each row has the number of its last event."""
    said = replay(whole(ledger).events)

    assert said["billing", OLD]["retired"] == said["billing", OLD]["suspended"] == "2026-01-06T12:00:00.000000Z"
    assert said["billing", NEW]["promoted"] == "2026-01-05T12:00:00.000000Z"
    assert {key.id: key.event for key in ledger.keys()} == {OLD: 7, NEW: 4}  # noqa: SIM118


def test_two_ledgers_have_two_names(tmp_path: Path, clock: Clock) -> None:
    """Even if they begin at the same time with the same rows."""
    names = set()
    for name in "ab":
        with Ledger.open(f"sqlite:///{tmp_path}/{name}.db", now=clock) as opened:
            names.add(opened.chain().ledger)

    assert len(names) == 2


def test_nothing_new_is_no_event(ledger: Ledger) -> None:
    """Keys that are found as they were leave the chain as it is."""
    before = whole(ledger)
    ledger.see_keys({OLD: KeyState("previous"), NEW: KeyState.PRIMARY}, "shop")
    ledger.see_keys({OLD: KeyState("previous"), NEW: KeyState.PRIMARY}, "shop")

    assert len(whole(ledger).events) == len(before.events) + 2


Spoil = Callable[[Database], object]


def sql(*statements: str) -> Spoil:
    return lambda database: database.execute(*statements)


def put_between(database: Database) -> None:
    """An event that fits behind number 4, and all later numbers one higher."""
    with database.engine.begin() as connection:
        found = connection.execute(tables.records_of(tables.events).order_by(tables.events.c.number))
        rows = [row._asdict() for row in found]
        connection.execute(tables.events.delete().where(tables.events.c.number > 4))
    last = Head(4, rows[3]["digest"])
    made = linked(last, T0, "restored", {"sets": {"suspended": None}}, service="billing", key_id=NEW)
    later = [{**row, "number": row["number"] + 1} for row in rows[4:]]
    with database.engine.begin() as connection:
        connection.execute(tables.events.insert(), [vars(made), *later])


_COPIED = (
    "INSERT INTO keyring_ledger_events SELECT {}, at, service, key_id, event, by_name, document, previous, digest "
    "FROM keyring_ledger_events WHERE number = 3"
)

SPOILT = {
    "who of an event": (
        sql("UPDATE keyring_ledger_events SET by_name = 'nobody' WHERE number = 4"),
        ["event 4 (promoted) was changed"],
    ),
    "the facts of an event": (
        sql("""UPDATE keyring_ledger_events SET document = '{"sets": 7}' WHERE number = 4"""),
        ["event 4 (promoted) was changed", f"key {NEW} of billing: promoted is 2026-01-05T12:00:00.000000Z, and"],
    ),
    "when an event was": (
        sql("UPDATE keyring_ledger_events SET at = '2020-01-01T12:00:00.000000Z' WHERE number = 4"),
        ["event 4 (promoted) was changed"],
    ),
    "an event that was made again": (
        lambda database: _made_again(database, 4),
        ["event 5 does not follow event 4"],
    ),
    "the first event": (
        sql("UPDATE keyring_ledger_events SET document = '[]' WHERE number = 1"),
        ["event 1 (began) was changed"],
    ),
    "a date of a key": (
        sql(f"UPDATE keyring_ledger_keys SET retired = '2026-01-01T12:00:00.000000Z' WHERE id = '{OLD}'"),
        [f"key {OLD} of billing: retired is 2026-01-01T12:00:00.000000Z, and its events say 2026-01-06T12"],
    ),
    "a retirement that was no forced one": (
        sql(f"UPDATE keyring_ledger_keys SET forced = (1 = 0) WHERE id = '{OLD}'"),
        [f"key {OLD} of billing: forced is False, and its events say True"],
    ),
    "a suspension that never was": (
        sql(f"UPDATE keyring_ledger_keys SET suspended = NULL WHERE id = '{OLD}'"),
        [f"key {OLD} of billing: suspended is none, and"],
    ),
    "a key that was removed": (
        sql(f"DELETE FROM keyring_ledger_keys WHERE id = '{OLD}'"),
        [f"key {OLD} of billing: the events name it, and it is not in the ledger"],
    ),
    "a key that was added": (
        sql("UPDATE keyring_ledger_keys SET service = 'shop' WHERE id = '" + NEW + "'"),
        [f"key {NEW} of billing: the events name it", f"key {NEW} of shop: no event explains it"],
    ),
    "a certificate": (
        sql("""UPDATE keyring_ledger_certificates SET document = '{"key": "0d0d0d0d", "forced": false}'"""),
        [f"certificate of {OLD}, written 2026-01-06T12:00:00.000000Z: it was changed in the ledger"],
    ),
    "a certificate and its digest": (
        sql(
            """UPDATE keyring_ledger_certificates SET document = '{"key": "0d0d0d0d"}',"""
            f" digest = '{digest_of({'key': '0d0d0d0d'})}'"
        ),
        [f"certificate of {OLD}, written 2026-01-06T12:00:00.000000Z: it was changed in the ledger"],
    ),
    "the digest of a certificate": (
        sql("UPDATE keyring_ledger_certificates SET digest = NULL"),
        [f"certificate of {OLD}, written 2026-01-06T12:00:00.000000Z: it was changed in the ledger"],
    ),
    "a certificate that is no object": (
        sql("UPDATE keyring_ledger_certificates SET document = '[7]'"),
        [f"certificate of {OLD}, written 2026-01-06T12:00:00.000000Z: it was changed in the ledger"],
    ),
    "a certificate that was removed": (
        sql("DELETE FROM keyring_ledger_certificates"),
        [f"certificate of {OLD}, of event 6: it is not in the ledger"],
    ),
    "a certificate that was moved to another event": (
        sql("UPDATE keyring_ledger_certificates SET event = 7"),
        [f"certificate of {OLD}, written 2026-01-06", f"certificate of {OLD}, of event 6: it is not in the ledger"],
    ),
    "when a certificate was issued": (
        sql("UPDATE keyring_ledger_certificates SET written = '2020-01-01T12:00:00.000000Z'"),
        [f"certificate of {OLD}, written 2020-01-01T12:00:00.000000Z: it was changed in the ledger"],
    ),
    "a certificate that is there twice": (
        sql(
            "INSERT INTO keyring_ledger_certificates (id, key_id, written, document, digest, event) "
            "SELECT id + 1, key_id, written, document, digest, event FROM keyring_ledger_certificates"
        ),
        [f"certificate of {OLD}, written 2026-01-06T12:00:00.000000Z: it is there twice"],
    ),
    "a certificate that was added": (
        sql(
            "INSERT INTO keyring_ledger_certificates (id, key_id, written, document) "
            "SELECT id + 1, key_id, written, document FROM keyring_ledger_certificates"
        ),
        [f"certificate of {OLD}, written 2026-01-06T12:00:00.000000Z: no event explains it"],
    ),
    "an event before the first": (
        sql(_COPIED.format(0)),
        ["event 0 has a number that no event has", "event 0 (staged) was changed"],
    ),
    "an event that is far ahead": (
        sql(_COPIED.format(10**15)),
        [f"events 8 to {10**15 - 1} are missing", f"event {10**15} (staged) was changed"],
    ),
    "the first event, removed": (
        sql("DELETE FROM keyring_ledger_events WHERE number = 1"),
        ["event 1 is missing"],
    ),
    "an event that was removed": (
        sql("DELETE FROM keyring_ledger_events WHERE number = 3"),
        ["event 3 is missing", f"key {NEW} of billing: first_seen", f"key {NEW} of billing: staged"],
    ),
    "events that were removed, and the others moved up": (
        sql(
            "DELETE FROM keyring_ledger_events WHERE number = 3",
            "UPDATE keyring_ledger_events SET number = 3 WHERE number = 4",
        ),
        ["event 3 does not follow event 2", "event 3 (promoted) was changed", "event 4 is missing"],
    ),
    "the last event": (
        sql("DELETE FROM keyring_ledger_events WHERE number = 7"),
        [
            f"key {OLD} of billing: retired is 2026-01-06T12:00:00.000000Z, and its events say none",
            f"certificate of {OLD}, of event 6: no later event says that the key was retired",
        ],
    ),
    "the last event, and what it changed": (
        sql(
            "DELETE FROM keyring_ledger_events WHERE number = 7",
            f"UPDATE keyring_ledger_keys SET retired = NULL, forced = (1 = 0), event = 5 WHERE id = '{OLD}'",
        ),
        [f"certificate of {OLD}, of event 6: no later event says that the key was retired"],
    ),
    "an event that was put in between": (
        put_between,
        ["event 6 does not follow event 5", "event 6 (suspended) was changed"],
    ),
    "all events": (
        sql("DELETE FROM keyring_ledger_events"),
        ["all events are missing", f"key {NEW} of billing: no event explains it"],
    ),
}


def _made_again(database: Database, number: int) -> None:
    """Somebody who knows how digests are made changes one event, with its digest."""
    with database.engine.begin() as connection:
        own = tables.events.c.number == number
        found = connection.execute(tables.records_of(tables.events).where(own)).one()._asdict()
        changed = replace(EventRecord(**found), by="somebody else")
        connection.execute(tables.events.update().where(own).values(by="somebody else", digest=changed.computed))


@pytest.mark.some(10)
@pytest.mark.parametrize(("spoil", "expected"), SPOILT.values(), ids=SPOILT.keys())
def test_what_was_changed_is_named(ledger: Ledger, database: Database, spoil: Spoil, expected: list[str]) -> None:
    """An event, a row that events explain, a certificate: changed, removed or put there."""
    whole(ledger)
    spoil(replace(database, engine=sa.create_engine(database.url, poolclass=sa.NullPool)))

    found = [difference.what for difference in differences(ledger.chain())]
    for words in expected:
        assert any(each.startswith(words) for each in found), found


@pytest.mark.parametrize(
    "document",
    ['{"sets": {"staged": null}, "sets": {}}', '{"sets": NaN}', '{"sets": 1e999}', "[" * 100_000],
    ids=["a name twice", "no number", "a number without an end", "too deep"],
)
def test_a_document_that_can_be_read_in_two_ways_is_a_corrupt_row(
    ledger: Ledger, database: Database, document: str
) -> None:
    """A query that takes the first of two values would see another event than the one that is verified."""
    with database.engine.begin() as connection:
        statement = sa.text("UPDATE keyring_ledger_events SET document = :document WHERE number = 3")
        connection.execute(statement, {"document": document})

    with pytest.raises(LedgerError, match="a row in it is corrupt"):
        ledger.chain()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE keyring_ledger_events SET number = 'three' WHERE number = 3",
        "UPDATE keyring_ledger_events SET service = x'00' WHERE number = 3",
        "UPDATE keyring_ledger_keys SET service = x'00'",
    ],
)
def test_values_of_other_types_are_found(ledger: Ledger, database: Database, statement: str) -> None:
    """SQLite keeps a text or bytes in any column."""
    database.execute(statement)

    assert differences(ledger.chain())


def test_a_restoration_that_was_removed_is_found(ledger: Ledger, database: Database) -> None:
    """It sets no date, but it was the last event of its key."""
    ledger.mark(OLD, "restored", "billing")
    ledger.mark(OLD, "suspended", "billing")
    ledger.mark(OLD, "resumed", "billing")
    database.execute("DELETE FROM keyring_ledger_events WHERE number > 8")

    found = [difference.what for difference in differences(ledger.chain())]
    assert found == [f"key {OLD} of billing: the number of its last event is 10, and its events say 8"]


def test_a_later_retirement_that_was_removed_is_found(ledger: Ledger, database: Database, clock: Clock) -> None:
    """The first one is of another certificate; a later event of the key says that it was still there."""
    [first] = [key.retired for key in ledger.keys() if key.id == OLD]  # noqa: SIM118
    clock.step(days=1)
    ledger.mark(OLD, "restored", "billing")
    ledger.keep_certificate({"certificate": 1, "key": OLD, "service": "billing"})
    ledger.mark(OLD, "retired", "billing", forced=True)
    whole(ledger)
    database.execute(
        "DELETE FROM keyring_ledger_events WHERE number = 10",
        f"UPDATE keyring_ledger_keys SET retired = '{utc_text(first)}', event = 8 WHERE id = '{OLD}'",
    )
    [words] = [difference.what for difference in differences(ledger.chain())]
    ledger.mark(OLD, "resumed", "billing")

    assert differences(ledger.chain()) == []
    assert words.startswith(f"certificate of {OLD}, of event 9: no later event says that the key was retired")


def test_two_writers_at_once_make_one_chain(database: Database) -> None:
    """Each event has one number and one before it, by whichever writer, and no change is lost."""
    Ledger.open(database.url).close()
    ready = threading.Barrier(2)

    def write(me: str) -> None:
        with Ledger.open(database.url) as ledger:
            for number in range(12):
                ready.wait(60)
                ledger.mark(me, "staged", "billing", by=me)
                ledger.keep_certificate({"key": me, "service": "billing", "number": number})
            ledger.mark(me, "retired", "billing")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, (OLD, NEW)))

    with Ledger.open(database.url) as ledger:
        events = whole(ledger).events
    assert len(events) == 1 + 2 * (12 * 2 + 1)
    assert sum(one.key_id != other.key_id for one, other in pairwise(events)) > 12, "the writers did not meet"


@pytest.mark.parametrize("database", ["postgresql", "mariadb"], indirect=True)
def test_a_number_that_another_writer_took_is_not_taken_again(database: Database) -> None:
    """It appends between this one's look at the head and its event: this one looks again, and signs what it finds."""
    heads = []
    with Ledger.open(database.url) as one, Ledger.open(database.url) as other:

        def sign(placed: Mapping[str, Any]) -> dict[str, Any]:
            if not heads:
                other.mark(NEW, "staged", "billing")
            heads.append(placed["head"])
            return {"value": "00"}

        issued = one.keep_certificate({"key": OLD, "service": "billing"}, sign)
        one.mark(OLD, "retired", "billing")

        [first, second, *_] = whole(one).events
    assert heads == [first.digest, second.digest]
    assert (issued["event"], issued["head"], issued["signature"]) == (3, second.digest, {"value": "00"})


def test_the_digest_of_an_event_stays() -> None:
    """A ledger that was written by an earlier release verifies: docs/reference/ledger.md has the rule."""
    at, facts = datetime(2026, 1, 5, 12, 0, 0, 250, tzinfo=UTC), {"sets": {"promoted": "2026-01-05T12:00:00.000250Z"}}
    made = linked(Head(3, "ab" * 32), at, "promoted", facts, service="billing", key_id="5f0c1a9e", by="Zoë")

    spelled = (
        '{"at":"2026-01-05T12:00:00.000250Z","by":"Zoë","document":{"sets":{"promoted":"2026-01-05T12:00:00.000250Z"}},'
        f'"event":"promoted","key_id":"5f0c1a9e","number":4,"previous":"{"ab" * 32}","service":"billing"}}'
    )
    known = "4136d26e10b90121a15e85d64db3139b77aa5e645d43cfd442bfe1b9facc72b6"
    assert made.digest == sha256(spelled.encode()).hexdigest() == known


def test_the_canonical_form_is_that_of_rfc_8785() -> None:
    """Its own example, as far as a ledger has such values: names sorted, no blanks, letters as they are."""
    document: dict[str, Any] = json.loads(
        r"""{"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/", "literals": [null, true, false], """
        r""""a": {"c": 1}}"""
    )

    made = canonical(document)
    assert made.decode() == (r"""{"a":{"c":1},"literals":[null,true,false],"string":"€$\u000f\nA'B\"\\\\\"/"}""")
    assert canonical({"lone": "\ud800"}) == b'{"lone":"\xed\xa0\x80"}'
