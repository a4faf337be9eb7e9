"""keys retire: a new census proves that nothing needs the key, or every reason is printed."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import stat
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from freezegun import freeze_time

from keyring_core import Key, Keyring, KeyState
from keyring_core.environment import load_settings
from rotation.discovery.result import Discovery
from rotation.model.batch import Batch
from rotation.model.failures import StoppedError, StoreError
from rotation.stores.store import Store
from rotation.world.process import Streams
from tests.conftest import Named, Ran
from tests.fakes import token
from tests.keys import key_text, mistyped
from tests.lifecycle.shop import NEW, OLD, OLDER, Shop, announce, old_token, refusals
from tests.whole.test_bound_targets import CONTEXT, bound

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]


DISCOVER = "rotation.discovery.discover.discover"


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
    """It is out of the file; the ledger records the date and the certificate, which says what was read.

    A token of another application, in a document, is named in it. The ledger found the key primary, so it has a bound.
    """
    shop.fill([old_token("old"), old_token("old"), "", None])
    shop.database.execute("CREATE TABLE outbox (id INTEGER PRIMARY KEY, body TEXT)")
    shop.database.insert("outbox", [{"id": 1, "body": json.dumps({"to": "a", "secret": token("theirs")})}])
    with freeze_time("2026-01-03 12:00:00"):
        ran = retire(shop, "--certificate", str(shop.folder / "proof.json"))

    assert (ran.code, ran.err.count("Error")) == (0, 0)
    assert load_settings({"ENCRYPTION_KEY": key_text("old")}) == shop.settings()
    proof = json.loads((shop.folder / "proof.json").read_text())
    assert proof == ran.document["certificate"]
    noon = "2026-01-03T12:00:00+00:00"
    assert (proof["key"], proof["primary"], proof["retired"]) == (OLDER.id, OLD.id, noon)
    assert (proof["promoted"], proof["promoted_before"]) == (None, noon)
    assert (proof["forced"], proof["overridden"], proof["rows"]) == (False, [], 4)
    assert proof["tool"].startswith("keyring-core ")
    assert ["1 token that no key opens" in each for each in proof["unopened"]] == [True]
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
    assert (shop.rotate("run").code, retire(shop).code) == (0, 0)


def test_rows_that_a_condition_leaves_out_are_looked_at(shop: Shop, named: Named) -> None:
    """A token there needs the key, too; what the entries of a column leave out is read in the context of each."""
    shop.fill([bound("old", context="a"), bound("old", context="b"), bound("old", token("lost"), context="b")])
    entry = shop.config.read_text()

    def reasons(*settings: str, row: int = 1, cell: str = "") -> list[str]:
        shop.config.write_text("".join(f"{entry}{each}\n" for each in settings))
        before = shop.database.column()[row]
        shop.database.execute("UPDATE creds SET token = :token WHERE id = :row", token=cell or before, row=row)
        found = refusals(retire(shop))
        shop.database.execute("UPDATE creds SET token = :token WHERE id = :row", token=before, row=row)
        return found

    first, second, rest = "where = 'id = 1'\ncontext = 'a'", "where = 'id = 2'\ncontext = 'b'", " WHERE id = 3"
    with named("a token under the key"):
        assert f"creds.token: 1 token under {OLDER.id}, in rows that its `where` leaves out" in reasons(
            "where = 'id > 1'\ncontext = 'b'", cell=bound("older", context="b")
        )
    with named("what is inside of a token that one of the contexts opens"):
        [reason] = reasons(first, second)
        assert "1 token that no key here opens, inside of other tokens, in rows that its `where` leaves out" in reason
    shop.database.execute(f"UPDATE creds SET token = :token{rest}", token=bound("old", context="b"))
    with named("a token in the rows of another context"):
        [reason, *more] = reasons(first, "where = 'id > 1'\ncontext = 'b'", row=2, cell=bound("older", context="a"))
        assert reason.startswith("creds.token in ")
        assert reason.endswith(f"rows where id > 1: 1 unreadable, which may need {OLDER.id}")
        assert [each for each in more if "1 token under" in each] == more
    with named("all are under the primary key, each in one of the contexts"):
        assert reasons(first, second) == []


def test_a_promotion_that_nobody_dated_is_recorded_once_somebody_says_that_it_is_right(shop: Shop) -> None:
    """As the note of a retirement and the finding of a check advise; then neither comes again.

    The ledger met the key as a previous one, and somebody made it primary by hand: no time to compare tokens with.
    """
    shop.fill([old_token("old"), old_token("older")])
    with shop.ledger() as ledger:
        ledger.see_keys({OLD.id: KeyState.PREVIOUS, OLDER.id: KeyState.STAGED}, "default")
    refused, checked = retire(shop), shop.rotate("check")
    promoted, ran = shop.keys("promote", OLD.id), shop.rotate("run")
    again, retired = shop.rotate("check"), shop.keys("retire", OLDER.id, "--no-archive")

    [note] = [note for note in refused.document["notes"] if "promoted" in note]
    assert note.startswith(f"the ledger does not know when {OLD.id} was promoted")
    assert f"`keyring-rotate keys promote {OLD.id}` records that" in note
    assert f"the ledger does not know when {OLD.id} took over from it" in checked.out
    assert f"keyring-rotate keys promote {OLD.id}" in checked.out
    assert f"the ledger did not know when {OLD.id} was promoted: it has that as before now" in promoted.out
    assert (promoted.code, ran.code, again.code, retired.code) == (0, 0, 0, 0)
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
    """Also a token in a document, once a target names a context; a target of its own, with its context, ends that."""
    shop.fill([bound("old")])
    shop.database.execute("CREATE TABLE webhooks (id INTEGER PRIMARY KEY, secret TEXT)")
    cell = json.dumps({"to": "a", "secret": Keyring(OLDER).bind("webhooks.secret").encrypt("x")})
    shop.database.insert("webhooks", [{"id": 1, "secret": cell}])
    entry = f'{shop.config.read_text()}context = "{CONTEXT}"\n'
    shop.config.write_text(entry)
    [reason] = refusals(retire(shop))
    shop.database.execute("UPDATE webhooks SET secret = :secret", secret=bound("older"))
    shop.config.write_text(entry + entry.replace("creds", "webhooks", 1).replace('"token"', '"secret"'))

    assert reason.startswith("webhooks.secret: holds 1 token that no key here opens (another application's, or")
    assert refusals(retire(shop)) == [f"webhooks.secret: 1 token under {OLDER.id}"]
    assert (shop.rotate("run").code, retire(shop).code) == (0, 0)


def test_every_reason_is_reported_at_once_and_leads_out_of_it(shop: Shop) -> None:
    """With what can be done about each, so that nobody comes back for the second one."""
    nested = token("old", f'{{"token": "{old_token("older")}"}}')
    young = token("new", issued_at=int(datetime(2026, 1, 3, 12, 0, 1, tzinfo=UTC).timestamp()))
    shop.write_env(f"{shop.env_file.read_text().strip()},{key_text('new')}\n")
    shop.fill([old_token("old"), nested, "a remark of a person " * 5, old_token("lost"), old_token("old")[:50], young])
    with freeze_time("2026-01-03 12:00:00"):
        shop.rotate("status")
    shop.database.execute("CREATE TABLE legacy (secret TEXT)", "CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT)")
    shop.database.execute("INSERT INTO legacy VALUES (:secret)", secret=old_token("older"))
    shop.database.execute("INSERT INTO log (line) VALUES (:line)", line=f"saved {old_token('older')} today")
    with freeze_time(datetime.now(UTC) - timedelta(hours=1)):
        announce(shop, "gone", OLDER)
    announce(shop, "web-2:3", OLDER)
    found = {refusal["reason"]: refusal["remedy"] for refusal in retire(shop).document["refused"]}
    printed = shop.keys("retire", OLDER.id, "--no-archive")

    ways = (
        (
            "creds.token: 1 token under",
            f"keyring-rotate run --dry-run --problems problems.jsonl {shop.options}\nif they are in text",
        ),
        (f"creds.token: a token under {NEW.id} was made at 2026-01-03 12:00:01 UTC", "give every service"),
        (f"creds.token: 2 unreadable, which may need {OLDER.id}", "have the application write these rows again"),
        ("creds.token: 1 cell with room for a token", f"if none is a token: --force {OLDER.id}"),
        ("legacy.secret: holds tokens", "add a key to the table, which has none: "),
        ("log.line: holds tokens", f"print the entry to add: keyring-rotate discover {shop.options}"),
        ("web on web-2:3 (seen ", "and restart it, unless it reloads"),
    )
    assert len(found) == len(ways)
    for reason, remedy in ways:
        assert [remedy in told for known, told in found.items() if known.startswith(reason)] == [True], reason
    assert not [told for told in found.values() if r"\n" in told], "each step is a line"
    assert printed.code == 1
    assert printed.out.count("  - ") == printed.out.count("    Next:") == len(ways)


def test_a_forced_retirement_is_recorded_as_forced(shop: Shop) -> None:
    """By the key's id, typed; the certificate lists the reasons against it. It is not retired twice.

    Another service's key of that id, or none, is unknown as before.
    """
    shop.fill([old_token("older")])
    assert retire(shop, "--force", OLD.id).code == 2
    with freeze_time("2026-01-03 12:00:00"):
        ran = retire(shop, "--force", OLDER.id)
    again = shop.keys("retire", OLDER.id, "--no-archive")

    proof = ran.document["certificate"]
    assert (ran.code, proof["forced"]) == (0, True)
    assert proof["overridden"] == [f"creds.token: 1 token under {OLDER.id}"]
    with shop.ledger() as ledger:
        assert [key.forced for key in ledger.keys() if key.id == OLDER.id] == [True]  # noqa: SIM118
        ledger.mark(NEW.id, "retired", "their shop")
    listed = shop.keys("list").out
    assert f"{OLDER.id}  retired" in listed
    assert "(forced)" in listed
    assert again.code == 2
    assert f"Error: {OLDER.id} was retired at 2026-01-03 12:00:00 UTC.\nNext: keyring-rotate check" in again.err
    assert f"no key {NEW.id} in this environment" in shop.keys("retire", NEW.id, "--no-archive").err


def test_what_was_not_read_proves_nothing(shop: Shop, monkeypatch: pytest.MonkeyPatch, named: Named) -> None:
    """Whatever keeps a retirement from reading everything: not a byte of the keys changes.

    Without a whole census, or if somebody asks to stop, --force changes nothing about that: it would override reasons
    that nobody knows. One that knows what cannot be searched uses it.
    """
    shop.fill([old_token("old"), old_token("older")])
    before = shop.env_file.read_bytes()
    real, entry = Store.read, shop.config.read_text()
    force = ("--force", OLDER.id)

    def fail(store: Any = None, *bounds: Any, **_: object) -> Batch:
        if isinstance(store, Store) and "IS NOT TRUE" not in (store._target.where or ""):
            return real(store, *bounds)
        raise StoreError("the connection was lost")

    def stop(streams: Streams, _: float) -> None:
        streams.stopping = True
        raise StoppedError("stopped on request.")

    with named("the target"), monkeypatch.context() as patch:
        patch.setattr(Store, "read", lambda *_: fail())
        assert refusals(retire(shop))[0] == "creds.token: it was not read to the end: the connection was lost"
    with named("rows that a `where` leaves out"), monkeypatch.context() as patch:
        patch.setattr(Store, "read", fail)
        shop.config.write_text(f"{entry}where = \"note = 'note 1'\"\n")
        assert retire(shop, *force).code == 3
        shop.config.write_text(entry)
    with named("a stop"), monkeypatch.context() as patch:
        patch.setattr(Streams, "wait", stop)
        patch.setattr(DISCOVER, lambda *_, **__: Discovery(full=True))
        assert retire(shop, *force).code == 3
    assert shop.env_file.read_bytes() == before
    with named("another census, as the keys were changed"), monkeypatch.context() as patch:
        changed = f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')}\n"
        patch.setattr(DISCOVER, lambda *_, **__: [shop.write_env(changed), Discovery(full=True)][-1])
        proof, archive = shop.folder / "proof.json", shop.folder / "archive"
        ran = retire(shop, *force, "--certificate", str(proof), "--archive", str(archive))
        assert ran.code == 2
        assert "the keys were changed while this command ran" in ran.document["error"]
        assert not proof.exists()
        assert not archive.exists()
        shop.write_env(before.decode())
    with shop.ledger() as ledger:
        assert ledger.certificates() == []
    with named("the other columns"), monkeypatch.context() as patch:
        patch.setattr(DISCOVER, fail)
        shop.rotate("run")
        assert refusals(retire(shop)) == ["columns that no target names: the connection was lost"]
        assert shop.env_file.read_bytes() == before
        assert retire(shop, *force).code == 0
        shop.write_env(before.decode())
    with named("a file that is no database"):
        Path(shop.database.url.removeprefix("sqlite:///")).write_bytes(b"no database" * 999)
        assert retire(shop, *force).code == 3
    assert shop.env_file.read_bytes() == before


def test_proof_and_archive_take_nothing_s_place(shop: Shop, named: Named) -> None:
    """Before anything is counted, each is refused if it cannot be written, or would destroy something else.

    The dotenv file would lose its keys to a certificate, and with it an archive the key that it is to keep. A
    certificate of another key may be the only proof of that one's retirement. An archive is for its owner alone, and
    one that serves as previous keys would lose the key that it is to keep.
    """
    shop.fill([old_token("old")])
    shop.ledger().close()
    (shop.folder / "link").symlink_to(shop.env_file)
    texts = {"archive": "# ours\n", "older": f"{key_text('older')}\n", "proof": '{"certificate": 1, "key": "00000000"}'}
    for name, text in texts.items():
        (shop.folder / name).touch(0o600)
        (shop.folder / name).write_text(text)
    archive, both = str(shop.folder / "archive"), str(shop.folder / "both")
    before = {path: path.read_bytes() for path in shop.folder.iterdir()}

    def refused(*argv: str, environ: Mapping[str, str] | None = None) -> str:
        ran = shop.keys("retire", OLDER.id, *argv, environ=environ)
        assert ran.code == 2
        assert {path: path.read_bytes() for path in shop.folder.iterdir()} == before
        return ran.err

    for option in (("--no-archive", "--certificate"), ("--archive",)):
        with named(*option, "a folder that is not there"):
            assert "there is no folder" in refused(*option, str(shop.folder / "nowhere" / "file"))
        for name in (".env", "link", "rotation.toml", "rotation-ledger.db"):
            with named(*option, name):
                refused(*option, str(shop.folder / name))
    with named("both in one file, in which neither could be read"):
        refused("--certificate", both, "--archive", both)
    with named("a certificate of another key"):
        path = shop.folder / "proof"
        words = f"--certificate {path}: is no certificate of {OLDER.id}, and would be overwritten; name another file"
        assert words in refused("--certificate", str(path), "--no-archive")
    with named("the file that the previous keys come from"):
        path = shop.folder / "older"
        environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS_FILE": str(path)}
        assert f"--archive {path}: keys are kept there" in refused("--archive", str(path), environ=environ)
    for bits in (0o644, 0o640, 0o604, 0o620):
        with named("an archive that others can read or change", oct(bits)):
            Path(archive).chmod(bits)
            mode = stat.filemode(bits | stat.S_IFREG)
            err = refused("--archive", archive)
            assert f"{archive}: other users can read or change it ({mode})" in err
            assert f"chmod 600 {archive}" in err
    Path(archive).chmod(0o600)
    (shop.folder / "proof").write_text(f'{{"certificate": 1, "key": "{OLDER.id}"}}')
    assert retire(shop, "--certificate", str(shop.folder / "proof"), "--archive", archive).code == 0
    assert json.loads((shop.folder / "proof").read_text())["rows"] == 1


def test_the_environment_s_own_key_stays_with_whom_writes_it(shop: Shop) -> None:
    """Without a key file exit code 1: certificate and archive are there, and what to take out is said."""
    shop.fill([old_token("old")])
    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("older")}
    proof, archive = shop.folder / "proof.json", shop.folder / "archive"

    ran = shop.keys("retire", OLDER.id, "--certificate", str(proof), "--archive", str(archive), environ=environ)

    assert ran.code == 1
    assert f"so they are as before. Written: {proof}, {archive}. Store the keys yourself" in ran.out
    assert "nothing -> ENCRYPTION_PREVIOUS_KEYS" in ran.out
    assert proof.exists()
    assert archive.exists()
    with shop.ledger() as ledger:
        assert [proof["key"] for proof in ledger.certificates()] == [OLDER.id]


def test_an_archive_is_for_its_owner_alone_as_long_as_it_is_there(shop: Shop) -> None:
    """Its path is in the certificate; `check` finds one that others can read, and none that was moved.

    A key comes back from it all the same, as the backup counts more; mode and command are printed.
    """
    shop.fill([old_token("old")])
    archive = shop.folder / "archive"
    retire(shop, "--archive", str(archive))

    def found() -> list[str]:
        findings = json.loads(shop.rotate("check", "--json").out)["findings"]
        return [finding["message"] for finding in findings if finding["subject"] == str(archive)]

    assert found() == []
    archive.chmod(0o640)
    assert found() == ["its group can read this file of --archive (-rw-r-----)"]
    archive.rename(moved := shop.folder / "moved")
    assert found() == []
    ran = shop.keys("restore", OLDER.id, "--archive", str(moved))
    assert ran.code == 0
    assert f"Warning: {moved}: other users can read or change it (-rw-r-----)" in ran.err


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
    """R32, L15: out of the archive by its id, as a previous key; the backup's tokens are rotated, and it goes again.

    An archive that is not there, or was never written, has other words than one that holds another key; a weak key
    in it does not matter.
    """
    shop.fill([old_token("old")])
    path = shop.folder / "archive"
    archive = str(path)
    missing = shop.keys("restore", OLDER.id, "--archive", archive)
    path.touch(0o600)
    empty = shop.keys("restore", OLDER.id, "--archive", archive)
    path.write_text(f"# 00000000, retired 2025-12-31 12:00 UTC\n{'A' * 43}=\n")
    retire(shop, "--archive", archive)
    shop.database.execute("UPDATE creds SET token = :token", token=old_token("older"))
    assert shop.rotate("status").code == 1
    wrong = shop.keys("restore", NEW.id, "--archive", archive)
    right = shop.keys("restore", OLDER.id, "--archive", archive, "--json")
    again = shop.keys("restore", OLDER.id, "--archive", archive)

    assert (missing.code, missing.err) == (2, f"Error: {archive}: there is no such file\n")
    assert (empty.code, empty.err) == (2, f"Error: {archive}: the file is empty\n")
    assert (wrong.code, right.code, again.code) == (2, 0, 2)
    assert re.search(rf"holds no key {NEW.id}; it holds \w{{8}}(, | and ){OLDER.id}", wrong.err)
    assert f"{OLDER.id} is previous already" in again.err
    assert shop.settings().previous == (OLDER,)
    assert shop.rotate("run").code == 0
    assert retire(shop, "--archive", archive).code == 0
    assert path.read_text().count(key_text("older")) == 1


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


def test_an_environment_without_a_key_is_an_error(shop: Shop) -> None:
    """C01: exit code 2, by the variable's name."""
    shop.fill([])
    shop.write_env("OTHER=1\n")
    for step in (["stage"], ["promote"], ["retire", OLDER.id, "--no-archive"], ["list"]):
        ran = shop.keys(*step)
        assert (ran.code, "ENCRYPTION_KEY: not set" in ran.err) == (2, True)


def test_keys_list_tells_dates_and_tokens(shop: Shop) -> None:
    """From the ledger and the last census; without a ledger it makes none.

    Variables changed by hand leave no date of a promotion, but its bounds; a command leaves one to the second.
    """
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

    shop.write_env(
        f"ENCRYPTION_KEY={key_text('new')}\nENCRYPTION_PREVIOUS_KEYS={key_text('old')},{key_text('older')}\n"
    )
    with freeze_time("2026-01-05 12:00"):
        shop.rotate("status")
    [found, *_] = shop.keys("list", "--json").document["keys"]
    assert "between 2026-01-03 12:00 and 2026-01-05 12:00" in shop.keys("list").out
    assert (found["id"], found["promoted"], found["promoted_after"]) == (NEW.id, None, noon)
    assert found["promoted_before"] == "2026-01-05T12:00:00+00:00"

    with freeze_time("2026-01-06 12:00"):
        shop.keys("promote", OLD.id)
    [back, *_] = shop.keys("list", "--json").document["keys"]
    assert (back["id"], back["promoted"], back["promoted_before"]) == (OLD.id, "2026-01-06T12:00:00+00:00", None)


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
