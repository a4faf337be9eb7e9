"""keys retire: a new census proves that nothing needs the key, or every reason is printed."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from freezegun import freeze_time

from keyring_core import Key, Keyring, KeyState
from keyring_core.environment import load_settings
from rotation.discovery.result import Discovery
from rotation.model.batch import Batch
from rotation.model.failures import StoppedError, StoreError
from rotation.model.streams import Streams
from rotation.stores.cells import TableEntry
from rotation.stores.sqlite.catalog import SQLiteCatalog
from rotation.stores.store import Store
from tests.conftest import Ran
from tests.fakes import token
from tests.keys import key_text, mistyped
from tests.lifecycle.shop import NEW, OLD, OLDER, Shop, announce, old_token, refusals
from tests.whole.test_bound_targets import CONTEXT, bound

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]


def retire(shop: Shop, *argv: str) -> Ran:
    archive = () if "--archive" in argv else ("--no-archive",)
    return shop.keys("retire", OLDER.id, "--json", *archive, *argv)


def test_a_key_is_archived_unless_its_loss_is_typed(shop: Shop) -> None:
    """Without either option nothing is counted or changed; both ways stand in the message, and can be pasted."""
    shop.fill([old_token("old")])
    before = {path: path.read_bytes() for path in shop.folder.iterdir()}
    refused = shop.keys("retire", OLDER.id, "--force", OLDER.id)
    both = shop.keys("retire", OLDER.id, "--archive", "a.keys", "--no-archive")
    unchanged = {path: path.read_bytes() for path in shop.folder.iterdir()}

    typed = f"keyring-rotate keys retire {OLDER.id} --force {OLDER.id} {shop.options}"
    assert (refused.code, both.code, unchanged) == (2, 2, before)
    assert "without it, backups from before today cannot be read" in refused.err
    assert f"\n  1. to keep the key for old backups: {typed} --archive {OLDER.id}.keys\n" in refused.err
    assert f"\n  2. to keep it nowhere: {typed} --no-archive\n" in refused.err
    assert "--archive and --no-archive exclude each other" in both.err

    ran = shop.keys("retire", OLDER.id, "--no-archive", "--quiet")

    assert ran.code == 0
    assert "Note: This key is not archived. Without it, backups from before today cannot be read.\n" in ran.out


def test_a_key_that_nothing_needs_goes(shop: Shop) -> None:
    """It is out of the file; the ledger records the date and the certificate, which says what was read."""
    shop.fill([old_token("old"), old_token("old"), "", None])
    with freeze_time("2026-01-03 12:00:00"):
        ran = retire(shop, "--certificate", str(shop.folder / "proof.json"))

    assert (ran.code, ran.err.count("Error")) == (0, 0)
    assert load_settings({"ENCRYPTION_KEY": key_text("old")}) == shop.settings()
    proof = json.loads((shop.folder / "proof.json").read_text())
    assert proof == ran.document["certificate"]
    assert (proof["key"], proof["primary"], proof["retired"]) == (OLDER.id, OLD.id, "2026-01-03T12:00:00+00:00")
    assert (proof["forced"], proof["overridden"], proof["rows"]) == (False, [], 4)
    assert proof["tool"].startswith("keyring-core ")
    [target] = proof["targets"]
    assert (target["table"], target["column"], target["under"]) == ("creds", "token", {OLD.id: 2})
    with shop.ledger() as ledger:
        assert ledger.certificates() == [proof]
        dates = {key.id: (key.retired, key.forced) for key in ledger.keys()}  # noqa: SIM118
    assert dates == {OLD.id: (None, False), OLDER.id: (datetime(2026, 1, 3, 12, tzinfo=UTC), False)}


def test_one_token_keeps_the_key(shop: Shop) -> None:
    """R31: refused, with the number and the command that moves it; not a byte changed, no certificate."""
    shop.fill([old_token("old"), old_token("older")])
    before = shop.env_file.read_bytes()
    ran = retire(shop, "--certificate", str(shop.folder / "proof.json"))

    assert ran.code == 1
    [refusal] = ran.document["refused"]
    assert refusal == {
        "reason": f"creds.token: 1 token under {OLDER.id}",
        "remedy": f"keyring-rotate run {shop.options}",
        "commands": [{"arguments": ["run", *shlex.split(shop.options)], "when": ""}],
    }
    assert shop.env_file.read_bytes() == before
    assert not (shop.folder / "proof.json").exists()
    with shop.ledger() as ledger:
        assert ledger.certificates() == []
    assert shop.rotate("run").code == 0
    assert retire(shop).code == 0


def test_an_unreadable_cell_keeps_the_key(shop: Shop) -> None:
    """It may need this very key."""
    shop.fill([old_token("old"), old_token("old")[:50], old_token("lost")])

    assert refusals(retire(shop)) == [f"creds.token: 2 unreadable, which may need {OLDER.id}"]


def test_a_young_token_under_a_previous_key_keeps_the_key(shop: Shop) -> None:
    """Its tokens' time reveals a service that still encrypts with a previous key; the message has place and time."""
    shop.write_env(
        f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')},{key_text('older')}\n"
    )
    shop.fill([])
    with freeze_time("2026-01-03 12:00:00"):
        shop.rotate("status")
    promoted = int(datetime(2026, 1, 3, 12, tzinfo=UTC).timestamp())
    row = "INSERT INTO creds (token) VALUES (:token)"
    shop.database.execute(row, token=token("old", issued_at=promoted))
    assert (
        shop.keys("retire", OLDER.id, "--no-archive", "--json", "--force", OLDER.id).document["certificate"]["forced"]
        is False
    )

    shop.write_env(
        f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')},{key_text('older')}\n"
    )
    shop.database.execute(row, token=token("old", issued_at=promoted + 1))
    [reason] = refusals(retire(shop))

    assert f"creds.token: a token under {OLD.id} was made at 2026-01-03 12:00:01 UTC" in reason
    assert f"after {NEW.id} was promoted before 2026-01-03 12:00:00 UTC" in reason


def test_rows_that_a_condition_leaves_out_are_looked_at(shop: Shop) -> None:
    """A token there needs the key, too; rows of the target are reported separately."""
    shop.fill([old_token("older"), old_token("older"), old_token("old"), old_token("older")])
    shop.config.write_text(shop.config.read_text() + "where = \"note = 'note 1'\"\n")

    assert refusals(retire(shop)) == [
        f"creds.token: 1 token under {OLDER.id}",
        f"creds.token: 2 tokens under {OLDER.id}, in rows that its `where` leaves out",
    ]


def test_each_context_is_looked_for_in_all_rows(shop: Shop) -> None:
    """Entries that bind the rows of one column to different contexts: what lies outside of each entry's rows counts."""
    shop.fill([bound("old", context="a"), bound("old", context="b"), bound("old", context="b")])
    entry = shop.config.read_text()
    shop.config.write_text(f"{entry}where = 'id = 1'\ncontext = 'a'\n{entry}where = 'id > 1'\ncontext = 'b'\n")
    assert refusals(retire(shop)) == []

    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_PREVIOUS_KEYS={key_text('older')}\n")
    shop.database.execute("UPDATE creds SET token = :token WHERE id = 2", token=bound("older", context="a"))
    [reason, *second] = refusals(retire(shop))
    assert reason.startswith("creds.token in ")
    assert reason.endswith(f"rows where id > 1: 1 unreadable, which may need {OLDER.id}")
    assert [each for each in second if "1 token under" in each] == second


def test_what_is_inside_of_a_token_counts_in_each_context(shop: Shop) -> None:
    """In rows that no `where` takes, the token opens under one of the contexts, and the other sees nothing in it."""
    lost = token("lost")
    shop.fill([bound("old", context="a"), bound("old", context="b"), bound("old", lost, context="b")])
    entry = shop.config.read_text()
    shop.config.write_text(f"{entry}where = 'id = 1'\ncontext = 'a'\n{entry}where = 'id = 2'\ncontext = 'b'\n")

    [reason] = refusals(retire(shop))
    assert "1 token that no key here opens, inside of other tokens, in rows that its `where` leaves out" in reason


def test_rows_that_may_be_hidden_keep_the_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """D30: with row security on, a census and a search see what this user may see, and that proves nothing."""
    shop.fill([old_token("old")])
    entries = SQLiteCatalog.entries

    def hidden(catalog: SQLiteCatalog, connection: sa.Connection) -> list[TableEntry]:
        return [entry._replace(hidden="rows may be hidden") for entry in entries(catalog, connection)]

    monkeypatch.setattr(SQLiteCatalog, "entries", hidden)

    assert refusals(retire(shop)) == ["creds cannot be looked at: rows may be hidden"]


def test_where_no_promotion_is_dated_it_says_so(shop: Shop) -> None:
    """A key that the ledger met as a previous one, and that somebody made primary by hand: no time to compare with."""
    shop.fill([old_token("old")])
    with shop.ledger() as ledger:
        ledger.see_keys({OLD.id: KeyState.PREVIOUS}, "default")
    ran = retire(shop)

    [note] = [note for note in ran.document["certificate"]["unchecked"] if "promoted" in note]
    assert note.startswith(f"the ledger does not know when {OLD.id} was promoted")
    assert f"`keyring-rotate keys promote {OLD.id}` records that" in note
    assert note in ran.document["notes"]


def test_a_promotion_that_nobody_dated_is_recorded_once_somebody_says_that_it_is_right(shop: Shop) -> None:
    """As the note of a retirement and the finding of a check advise; then neither comes again."""
    shop.fill([old_token("old")])
    with shop.ledger() as ledger:
        ledger.see_keys({OLD.id: KeyState.PREVIOUS, OLDER.id: KeyState.STAGED}, "default")
    checked, promoted = shop.rotate("check"), shop.keys("promote", OLD.id)
    again, retired = shop.rotate("check"), shop.keys("retire", OLDER.id, "--no-archive")

    assert f"the ledger does not know when {OLD.id} took over from it" in checked.out
    assert f"keyring-rotate keys promote {OLD.id}" in checked.out
    assert f"the ledger did not know when {OLD.id} was promoted: it has that as before now" in promoted.out
    assert (checked.code, promoted.code, again.code, retired.code) == (3, 0, 0, 0)
    assert "does not know" not in again.out + retired.out


def test_a_previous_key_that_was_promoted_later_is_named(shop: Shop) -> None:
    """The keys of an older file: it is not said that the ledger had no date, or could not be written."""
    shop.fill([old_token("old")])
    with shop.ledger() as ledger:
        ledger.see_keys({OLD.id: KeyState.PRIMARY}, "default")
        ledger.mark(OLDER.id, "promoted", "default")
    checked = " ".join(shop.rotate("check").out.split())
    retired = shop.keys("retire", OLDER.id, "--no-archive")

    assert f"later than the primary key {OLD.id}, so the ledger does not know when {OLDER.id} was replaced" in checked
    assert f"keyring-rotate keys promote {OLDER.id}" in checked
    assert "a ledger that it can write" not in checked
    assert f"by the ledger {OLDER.id} was promoted (" in retired.out


def test_a_column_that_no_target_names_keeps_the_key(shop: Shop) -> None:
    """A second column holds a token of these keys: it is named, with the command that prints its entry."""
    shop.fill([old_token("old")])
    shop.database.execute("CREATE TABLE webhooks (id INTEGER PRIMARY KEY, secret TEXT)")
    shop.database.execute("INSERT INTO webhooks (secret) VALUES (:secret)", secret=old_token("older"))
    ran = retire(shop)

    assert ran.code == 1
    [refusal] = ran.document["refused"]
    assert refusal["reason"] == f"webhooks.secret: holds tokens, and no target names it: 1 token under {OLDER.id}"
    assert refusal["remedy"].splitlines()[0] == f"print the entry to add: keyring-rotate discover {shop.options}"
    shop.database.execute("UPDATE webhooks SET secret = NULL")
    assert retire(shop).code == 0


def test_a_bound_column_that_no_target_names_keeps_the_key(shop: Shop) -> None:
    """Its tokens may be another application's: it is named; an operator that knows them uses --force."""
    shop.fill([old_token("old")])
    shop.database.execute("CREATE TABLE webhooks (id INTEGER PRIMARY KEY, secret TEXT)")
    shop.database.execute("INSERT INTO webhooks (secret) VALUES (:secret)", secret=bound("older"))
    ran = retire(shop)

    assert refusals(ran) == [
        "webhooks.secret: holds 1 token that no key here opens (another application's, or bound to a context that no "
        "target names), and no target names it"
    ]
    assert "[[ignore]]" in ran.document["refused"][0]["remedy"]
    with shop.config.open("a") as file:
        file.write(f'[[target]]\nurl = "{shop.database.url}"\ntable = "webhooks"\ncolumns = ["secret"]\n')
        file.write(f'context = "{CONTEXT}"\n')
    assert refusals(retire(shop)) == [f"webhooks.secret: 1 token under {OLDER.id}"]


@pytest.mark.parametrize("binds", [True, False])
def test_a_token_in_a_document_keeps_the_key_if_it_may_be_bound(shop: Shop, binds: bool) -> None:
    """A target names a context, though not this one's; otherwise it is another application's, and is listed."""
    shop.fill([bound("old") if binds else old_token("old")])
    if binds:
        shop.config.write_text(f'{shop.config.read_text()}context = "{CONTEXT}"\n')
    shop.database.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, body TEXT)")
    cell = Keyring(OLDER).bind("outbox.body").encrypt("x") if binds else token("theirs")
    shop.database.insert("outbox", [{"id": 1, "body": json.dumps({"to": "a", "secret": cell})}])
    ran = retire(shop)

    words = "1 token that no key here opens" if binds else "1 token that no key opens"
    listed = refusals(ran) if binds else ran.document["certificate"]["unopened"]
    assert [words in each for each in listed] == [True]
    assert ran.code == binds


def test_each_refusal_leads_out_of_it(shop: Shop) -> None:
    """A table without a primary key, a token inside text, a nested one, plaintext: each with what can be done."""
    shop.fill([old_token("old"), token("old", f'{{"token": "{old_token("older")}"}}'), "a remark of a person " * 5])
    shop.database.execute("CREATE TABLE legacy (secret TEXT)", "CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT)")
    shop.database.execute("INSERT INTO legacy VALUES (:secret)", secret=old_token("older"))
    shop.database.execute("INSERT INTO log (line) VALUES (:line)", line=f"saved {old_token('older')} today")
    found = {refusal["reason"]: refusal["remedy"] for refusal in retire(shop).document["refused"]}

    ways = (
        (
            "creds.token: 1 token under",
            f"keyring-rotate run --dry-run --problems problems.jsonl {shop.options}\nif they are in text",
        ),
        ("creds.token: 1 cell with room for a token", f"if none is a token: --force {OLDER.id}"),
        ("legacy.secret: holds tokens", "add a key to the table, which has none: "),
        ("log.line: holds tokens", f"print the entry to add: keyring-rotate discover {shop.options}"),
    )
    assert len(found) == len(ways)
    for reason, remedy in ways:
        assert [remedy in told for known, told in found.items() if known.startswith(reason)] == [True], reason
    assert not [told for told in found.values() if r"\n" in told], "each step is a line"


def test_where_columns_cannot_be_looked_for_the_key_stays(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table without the privilege to read it may hold anything; an operator that knows it uses --force."""

    def fail(*_: object, **__: object) -> None:
        raise StoreError("secrets cannot be looked at")

    shop.fill([old_token("old")])
    monkeypatch.setattr("rotation.discovery.discover.discover", fail)

    assert refusals(retire(shop)) == ["columns that no target names: secrets cannot be looked at"]
    assert retire(shop, "--force", OLDER.id).code == 0


def test_rows_without_a_key_are_not_taken_for_read(shop: Shop) -> None:
    """What no key names was not looked at."""
    shop.database.execute("CREATE TABLE creds (id TEXT PRIMARY KEY, token TEXT)")
    shop.database.execute("INSERT INTO creds VALUES (NULL, :token)", token=old_token("older"))

    assert "creds.token: 1 not read, for a NULL in the row's key" in refusals(retire(shop))


def test_a_live_service_with_another_primary_keeps_the_key(shop: Shop) -> None:
    """It would write tokens under it as we look; one that merely still knows the key does no harm."""
    shop.fill([old_token("old")])
    with freeze_time("2026-01-03 12:00:00") as clock:
        announce(shop, "web-1:2", OLD, OLDER)
        announce(shop, "web-2:3", OLDER, staged=OLD)
        refused = shop.keys("retire", OLDER.id, "--no-archive")
        clock.tick(601)
        later = shop.keys("retire", OLDER.id, "--no-archive")

    assert f"  - web on web-2:3 (seen 2026-01-03 12:00:00 UTC) still encrypts with {OLDER.id}.\n" in refused.out
    age = "The old process announced itself 0 seconds ago, and counts as gone in 10 minutes"
    assert f"Restarted already? {age}, after 2026-01-03 12:10:00 UTC\n" in refused.out
    assert refused.out.splitlines()[-1] == f"      2. keyring-rotate keys retire {OLDER.id} --no-archive {shop.options}"
    assert (refused.code, later.code) == (1, 0)


def test_every_reason_is_reported_at_once(shop: Shop) -> None:
    """With the command for each, so that nobody comes back for the second one."""
    shop.fill([old_token("older"), "x" * 30, old_token("lost")])
    announce(shop, "web-2:3", OLDER)
    ran = shop.keys("retire", OLDER.id, "--no-archive")

    assert ran.code == 1
    assert ran.out.count("  - ") == ran.out.count("    Next:") == 3


def test_a_forced_retirement_is_recorded_as_forced(shop: Shop) -> None:
    """By the key's id, typed; the certificate lists the reasons against it."""
    shop.fill([old_token("older")])
    assert retire(shop, "--force", OLD.id).code == 2
    ran = retire(shop, "--force", OLDER.id)

    proof = ran.document["certificate"]
    assert (ran.code, proof["forced"]) == (0, True)
    assert proof["overridden"] == [f"creds.token: 1 token under {OLDER.id}"]
    with shop.ledger() as ledger:
        assert [key.forced for key in ledger.keys() if key.id == OLDER.id] == [True]  # noqa: SIM118
    assert f"{OLDER.id}  retired" in shop.keys("list").out
    assert "(forced)" in shop.keys("list").out


def test_a_database_that_fails_keeps_the_key(shop: Shop) -> None:
    """No census, no proof: exit code 3."""
    shop.fill([old_token("old")])
    Path(shop.database.url.removeprefix("sqlite:///")).write_bytes(b"no database" * 999)
    before = shop.env_file.read_bytes()

    assert retire(shop).code == 3
    assert shop.env_file.read_bytes() == before


def test_a_census_that_broke_off_keeps_the_key(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not read to its end proves nothing."""

    def fail(*_: object) -> None:
        raise StoreError("the connection was lost")

    shop.fill([old_token("old")])
    monkeypatch.setattr(Store, "read", fail)

    assert refusals(retire(shop)) == ["creds.token: it was not read to the end: the connection was lost"]


def test_a_second_look_that_broke_off_proves_nothing_either(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that a `where` leaves out were not read: exit code 3, also with --force."""
    real = Store.read

    def fail(store: Store, *bounds: Any) -> Batch:
        if "IS NOT TRUE" in (store._target.where or ""):
            raise StoreError("the connection was lost")
        return real(store, *bounds)

    shop.fill([old_token("old"), old_token("older")])
    shop.config.write_text(shop.config.read_text() + "where = \"note = 'note 1'\"\n")
    monkeypatch.setattr(Store, "read", fail)
    before = shop.env_file.read_bytes()

    assert retire(shop, "--force", OLDER.id).code == 3
    assert shop.env_file.read_bytes() == before


def test_whoever_asks_to_stop_retires_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even with --force, exit code 3: the reasons that were overridden are not yet known."""

    def stop(streams: Streams, _: float) -> None:
        streams.stopping = True
        raise StoppedError("stopped on request.")

    shop.fill([old_token("older")])
    before = shop.env_file.read_bytes()
    monkeypatch.setattr(Streams, "wait", stop)
    monkeypatch.setattr("rotation.discovery.discover.discover", lambda *_, **__: Discovery(full=True))

    assert retire(shop, "--force", OLDER.id).code == 3
    assert shop.env_file.read_bytes() == before


def test_keys_that_changed_during_the_census_leave_no_proof(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody promoted another key meanwhile: no certificate of a retirement that did not happen, in no place."""
    shop.fill([old_token("old")])
    proof, archive = shop.folder / "proof.json", shop.folder / "archive"

    def look(*_: object, **__: object) -> Discovery:
        shop.write_env(f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\n")
        return Discovery(full=True)

    monkeypatch.setattr("rotation.discovery.discover.discover", look)
    ran = retire(shop, "--certificate", str(proof), "--archive", str(archive))

    assert ran.code == 2
    assert "the keys were changed while this command ran" in ran.document["error"]
    assert not proof.exists()
    assert not archive.exists()
    with shop.ledger() as ledger:
        assert ledger.certificates() == []


@pytest.mark.parametrize("option", ["--certificate", "--archive"])
def test_a_proof_that_cannot_be_kept_keeps_the_key(shop: Shop, option: str) -> None:
    """Found before the census, however long that takes."""
    shop.fill([old_token("old")])
    before = shop.env_file.read_bytes()
    ran = retire(shop, option, str(shop.folder / "nowhere" / "file"))

    assert ran.code == 2
    assert "there is no folder" in json.loads(ran.out)["error"]
    assert shop.env_file.read_bytes() == before


@pytest.mark.parametrize("option", ["--certificate", "--archive"])
@pytest.mark.parametrize("name", [".env", "link", "rotation.toml", "rotation-ledger.db"])
def test_proof_and_archive_take_nothing_s_place(shop: Shop, option: str, name: str) -> None:
    """The dotenv file would lose its keys to a certificate, and with it an archive the key that it is to keep."""
    shop.fill([old_token("old")])
    shop.ledger().close()
    (shop.folder / "link").symlink_to(shop.env_file)
    path = shop.folder / name
    before = {each: each.read_bytes() for each in (shop.env_file, path)}
    ran = retire(shop, option, str(path))

    assert ran.code == 2
    assert {each: each.read_bytes() for each in (shop.env_file, path)} == before


def test_the_file_that_the_previous_keys_come_from_is_no_archive(shop: Shop) -> None:
    """Where an archive serves as previous keys, the key would be taken out of its own archive."""
    shop.fill([old_token("old")])
    archive = shop.folder / "archive"
    archive.write_text(f"{key_text('older')}\n")
    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS_FILE": str(archive)}
    ran = shop.keys("retire", OLDER.id, "--archive", str(archive), environ=environ)

    assert ran.code == 2
    assert f"--archive {archive}: keys are kept there" in ran.err
    assert archive.read_text() == f"{key_text('older')}\n"


def test_proof_and_archive_are_two_files(shop: Shop) -> None:
    """One after the other in one file, neither could be read."""
    shop.fill([old_token("old")])
    path = str(shop.folder / "both")

    assert retire(shop, "--certificate", path, "--archive", path).code == 2
    assert OLDER in shop.settings().previous


def test_a_certificate_takes_the_place_of_one_of_its_own_key_alone(shop: Shop) -> None:
    """It may be the only proof of the other key's retirement."""
    shop.fill([old_token("old")])
    proof = shop.folder / "proof.json"
    proof.write_text(other := '{"certificate": 1, "key": "00000000"}')

    refused = retire(shop, "--certificate", str(proof))
    assert (refused.code, proof.read_text()) == (2, other)
    assert (
        f"--certificate {proof}: is no certificate of {OLDER.id}, and would be overwritten; name another file"
        in refused.err
    )

    proof.write_text(f'{{"certificate": 1, "key": "{OLDER.id}"}}')
    assert retire(shop, "--certificate", str(proof)).code == 0
    assert json.loads(proof.read_text())["rows"] == 1


def test_without_a_key_file_it_says_what_was_written_all_the_same(shop: Shop) -> None:
    """The keys are as before, and certificate and archive are there."""
    shop.fill([old_token("old")])
    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("older")}
    proof, archive = shop.folder / "proof.json", shop.folder / "archive"

    ran = shop.keys("retire", OLDER.id, "--certificate", str(proof), "--archive", str(archive), environ=environ)

    assert ran.code == 1
    assert f"so they are as before. Written: {proof}, {archive}. Store the keys yourself" in ran.out
    assert proof.exists()
    assert archive.exists()


@pytest.mark.parametrize("bits", [0o644, 0o640, 0o604, 0o620])
def test_an_archive_that_others_can_read_takes_no_key(shop: Shop, bits: int) -> None:
    """Exit code 2 by path, mode and command, before anything is counted; the key stays where it is."""
    shop.fill([old_token("old")])
    archive = shop.folder / "archive"
    archive.write_text("# ours\n")
    archive.chmod(bits)
    mode = stat.filemode(archive.stat().st_mode)

    ran = retire(shop, "--archive", str(archive))

    assert (ran.code, archive.read_text()) == (2, "# ours\n")
    assert f"{archive}: other users can read or change it ({mode})" in ran.err
    assert f"chmod 600 {archive}" in ran.err
    assert OLDER in shop.settings().previous
    archive.chmod(0o600)
    assert retire(shop, "--archive", str(archive)).code == 0


def test_the_check_looks_at_archives(shop: Shop) -> None:
    """Its path is in the certificate; one that others can read is a finding, and one that was moved is none."""
    shop.fill([old_token("old")])
    archive = shop.folder / "archive"
    retire(shop, "--archive", str(archive))

    def found() -> list[str]:
        findings = json.loads(shop.rotate("check", "--json").out)["findings"]
        return [finding["message"] for finding in findings if finding["subject"] == str(archive)]

    assert found() == []
    archive.chmod(0o640)
    assert found() == ["its group can read this file of --archive (-rw-r-----)"]
    archive.rename(shop.folder / "moved")
    assert found() == []


def test_a_key_from_an_archive_that_others_can_read_comes_with_a_warning(shop: Shop) -> None:
    """The backup counts more; mode and command are printed."""
    shop.fill([old_token("old")])
    archive = shop.folder / "archive"
    retire(shop, "--archive", str(archive))
    archive.chmod(0o644)

    ran = shop.keys("restore", OLDER.id, "--archive", str(archive))

    assert ran.code == 0
    assert f"Warning: {archive}: other users can read or change it (-rw-r--r--)" in ran.err


def test_an_archive_that_is_not_there_is_told_from_one_that_holds_another_key(shop: Shop) -> None:
    """A mistyped path, and a file that was made and never written."""
    shop.fill([])
    archive = shop.folder / "archive"
    missing = shop.keys("restore", OLDER.id, "--archive", str(archive))
    archive.touch(0o600)
    empty = shop.keys("restore", OLDER.id, "--archive", str(archive))

    assert (missing.code, missing.err) == (2, f"Error: {archive}: there is no such file\n")
    assert (empty.code, empty.err) == (2, f"Error: {archive}: the file is empty\n")


def test_a_weak_key_can_be_archived_and_comes_back(shop: Shop) -> None:
    """L15: an archive that holds one still takes the next key, and gives either back."""
    shop.fill([old_token("old")])
    archive = shop.folder / "archive"
    archive.write_text(f"# 00000000, retired 2025-12-31 12:00 UTC\n{'A' * 43}=\n")
    archive.chmod(0o600)

    assert retire(shop, "--archive", str(archive)).code == 0
    assert shop.keys("restore", OLDER.id, "--archive", str(archive)).code == 0


def test_the_archive_serves_as_previous_keys(shop: Shop) -> None:
    """R32: a backup of that time opens again if ENCRYPTION_PREVIOUS_KEYS_FILE names the archive."""
    shop.fill([old_token("old")])
    archive = shop.folder / "archive"
    archive.write_text("# ours, no line end")
    archive.chmod(0o600)
    with freeze_time("2026-01-03 12:00:00"):
        assert retire(shop, "--archive", str(archive)).code == 0

    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS_FILE": str(archive)}
    assert load_settings(environ).previous == (OLDER,)
    note = f"# ours, no line end\n# {OLDER.id}, retired 2026-01-03 12:00 UTC\n"
    assert archive.read_text().startswith(note)


def test_a_retired_key_comes_back_for_a_backup(shop: Shop) -> None:
    """R32: out of the archive by its id, as a previous key; the backup's tokens are rotated, and it goes again."""
    shop.fill([old_token("old")])
    archive = str(shop.folder / "archive")
    retire(shop, "--archive", archive)
    shop.database.execute("UPDATE creds SET token = :token", token=old_token("older"))
    assert shop.rotate("status").code == 1
    wrong = shop.keys("restore", NEW.id, "--archive", archive)
    right = shop.keys("restore", OLDER.id, "--archive", archive, "--json")
    again = shop.keys("restore", OLDER.id, "--archive", archive)

    assert (wrong.code, right.code, again.code) == (2, 0, 2)
    assert f"holds no key {NEW.id}; it holds {OLDER.id}" in wrong.err
    assert f"{OLDER.id} is previous already" in again.err
    assert shop.settings().previous == (OLDER,)
    assert shop.rotate("run").code == 0
    assert retire(shop, "--archive", archive).code == 0
    assert (shop.folder / "archive").read_text().count(key_text("older")) == 1


def test_a_key_that_signs_like_another_does_not_come_back(shop: Shop) -> None:
    """K26: a mistyped copy beside the key itself would keep every service from starting, so nothing is written."""
    archive = shop.folder / "archive"
    archive.write_text(f"{mistyped(key_text('old'))}\n")
    archive.chmod(0o600)
    before = shop.env_file.read_bytes()

    ran = shop.keys("restore", Key.parse(mistyped(key_text("old"))).id, "--archive", str(archive))

    assert ran.code == 2
    assert f"ENCRYPTION_KEY ({OLD.id}) and ENCRYPTION_PREVIOUS_KEYS (" in ran.err
    assert "sign alike" in ran.err
    assert shop.env_file.read_bytes() == before


def test_the_environment_s_own_key_stays_with_whom_writes_it(shop: Shop) -> None:
    """Without a file the proof is made and kept, and what to take out is said: exit code 1."""
    shop.fill([old_token("old")])
    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("older")}
    ran = shop.keys("retire", OLDER.id, "--no-archive", environ=environ)

    assert ran.code == 1
    assert "nothing -> ENCRYPTION_PREVIOUS_KEYS" in ran.out
    with shop.ledger() as ledger:
        assert [proof["key"] for proof in ledger.certificates()] == [OLDER.id]


def test_an_environment_without_a_key_is_an_error(shop: Shop) -> None:
    """C01: exit code 2, by the variable's name."""
    shop.fill([])
    shop.write_env("OTHER=1\n")
    for step in (["stage"], ["promote"], ["retire", OLDER.id, "--no-archive"], ["list"]):
        ran = shop.keys(*step)
        assert (ran.code, "ENCRYPTION_KEY: not set" in ran.err) == (2, True)


def test_keys_list_tells_dates_and_tokens(shop: Shop) -> None:
    """From the ledger and the last census; without a ledger it makes none."""
    shop.fill([old_token("old"), old_token("older"), old_token("older")])
    assert shop.keys("list").out.startswith(f"{OLD.id}  primary\n{OLDER.id}  previous\n")
    assert not (shop.folder / "rotation-ledger.db").exists()
    with freeze_time("2026-01-03 12:00:00"):
        shop.rotate("status")
    primary, previous = shop.keys("list", "--json").document["keys"]

    noon = "2026-01-03T12:00:00+00:00"
    assert (primary["state"], primary["tokens"]) == ("primary", 1)
    assert (primary["promoted"], primary["promoted_before"], primary["promoted_after"]) == (None, noon, None)
    assert (previous["first_seen"], previous["promoted"], previous["promoted_before"]) == (noon, None, None)
    assert previous["tokens"] == 2
    assert re.search(rf"{OLD.id} +primary +2026-01-03 12:00 +before 2026-01-03 12:00 +1 *\n", shop.keys("list").out)


def test_keys_list_tells_between_which_times_somebody_promoted_a_key(shop: Shop) -> None:
    """Variables changed by hand leave no date in the ledger; a command leaves one to the second."""
    shop.fill([])
    with freeze_time("2026-01-03 12:00"):
        shop.keys("stage")
    staged = shop.settings().staged
    assert staged
    with freeze_time("2026-01-04 12:00"):
        shop.rotate("run")
    shop.write_env(
        f"ENCRYPTION_KEY={staged.reveal()}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')},{key_text('older')}\n"
    )
    with freeze_time("2026-01-05 12:00"):
        shop.rotate("status")

    assert f"{staged.id}  primary" in shop.keys("list").out
    assert "between 2026-01-04 12:00 and 2026-01-05 12:00" in shop.keys("list").out
    [found, *_] = shop.keys("list", "--json").document["keys"]
    assert (found["promoted"], found["promoted_after"], found["promoted_before"]) == (
        None,
        "2026-01-04T12:00:00+00:00",
        "2026-01-05T12:00:00+00:00",
    )

    with freeze_time("2026-01-06 12:00"):
        shop.keys("promote", OLD.id)
    [back, *_] = shop.keys("list", "--json").document["keys"]
    assert (back["id"], back["promoted"], back["promoted_before"]) == (OLD.id, "2026-01-06T12:00:00+00:00", None)


def test_a_certificate_dates_no_promotion_by_guess(shop: Shop) -> None:
    """If the ledger only found the key primary, the certificate has the bound; a command leaves a date."""
    shop.fill([])
    with freeze_time("2026-01-03 12:00"):
        proof = shop.keys("retire", OLDER.id, "--no-archive", "--json").document["certificate"]

    assert (proof["promoted"], proof["promoted_before"]) == (None, "2026-01-03T12:00:00+00:00")


def test_the_latest_possible_time_of_a_promotion_accuses(shop: Shop) -> None:
    """A token between the last look and the one that found the new key was perhaps written before the promotion."""
    shop.fill([])
    with freeze_time("2026-01-03 12:00"):
        shop.rotate("run")
    shop.write_env(
        f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')},{key_text('older')}\n"
    )
    with freeze_time("2026-01-05 12:00"):
        shop.rotate("status")
    between = int(datetime(2026, 1, 5, 11, tzinfo=UTC).timestamp())
    shop.database.execute("INSERT INTO creds (token) VALUES (:token)", token=token("old", issued_at=between))

    assert shop.keys("retire", OLDER.id, "--no-archive", "--json").document["refused"] == []


def test_the_ledger_holds_no_secret(shop: Shop) -> None:
    """No key, no token, no plaintext: not after every command, and not in a row's key."""
    shop.database.execute("CREATE TABLE creds (id TEXT PRIMARY KEY, token TEXT)")
    cells = {old_token("old"): "hunter2-plain", "b": old_token("older"), "c": old_token("lost")}
    shop.database.insert("creds", [{"id": key, "token": cell} for key, cell in cells.items()])
    shop.rotate("status")
    shop.rotate("run")
    shop.keys("stage")
    shop.keys("promote")
    staged = shop.settings().primary
    shop.keys("retire", OLDER.id, "--no-archive", "--force", OLDER.id)

    with sqlite3.connect(shop.folder / "rotation-ledger.db") as connection:
        dump = "\n".join(connection.iterdump())
    assert all(key.id in dump for key in (OLD, OLDER, staged))
    secrets = [key.reveal() for key in (OLD, OLDER, NEW, staged)] + list(cells) + list(cells.values())
    assert [secret for secret in secrets if len(secret) > 1 and secret[:43] in dump] == []


def test_a_key_that_is_retired_already_is_named_so(shop: Shop) -> None:
    """With the time and the next command; another service's key of that id, or none, is unknown as before."""
    shop.fill([old_token("old")])
    with freeze_time("2026-01-03 12:00:00"):
        assert retire(shop, "--force", OLDER.id).code == 0
    again = shop.keys("retire", OLDER.id, "--no-archive")
    with shop.ledger() as ledger:
        ledger.mark(NEW.id, "retired", "their shop")

    assert again.code == 2
    assert f"Error: {OLDER.id} was retired at 2026-01-03 12:00:00 UTC.\nNext: keyring-rotate check" in again.err
    assert f"no key {NEW.id} in this environment" in shop.keys("retire", NEW.id, "--no-archive").err
