"""keys suspend and keys resume: the trial of a retirement, on real databases."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from dotenv import dotenv_values
from freezegun import freeze_time

from keyring_core import Keyring, SuspendedKey
from rotation.ledger.records import InstanceRecord
from rotation.model.failures import StoreError
from rotation.model.key_use import ReadRecord
from rotation.world.atomic_file import Snapshot, replace_whole
from tests.conftest import Cli
from tests.databases import open_database
from tests.keys import key_text, make_key
from tests.ledger.censuses import census_of
from tests.lifecycle.shop import OLD, OLDER, Shop, announce, old_token, refusals

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

BEGAN = datetime(2026, 1, 3, 12, tzinfo=UTC)
SERVICE = """
import os, sys
from keyring_core import SuspendedKey, get_keyring
from rotation import fleet
from rotation.fleet import announce
fleet.ANSWER_SECONDS = 60
for token in sys.argv[1:]:
    try:
        print(get_keyring().decrypt(token))
    except SuspendedKey as error:
        print(error.key_id, "is suspended")
announced = announce(instance="web-1")
# Without a farewell to the ledger: it is still running.
sys.stdout.flush()
os._exit(0 if announced else 1)
"""
"""A process of a service, which reads tokens from elsewhere and announces itself."""


def serve(shop: Shop, *tokens: str) -> str:
    """What such a process prints, with the keys of the dotenv file."""
    environ = {**os.environ, **dotenv_values(shop.env_file), "ROTATION_LEDGER_URL": shop.ledger_url}
    command = [sys.executable, "-W", "ignore", "-c", SERVICE, *tokens]
    own = {name: value for name, value in environ.items() if value is not None}
    return subprocess.run(command, env=own, check=True, capture_output=True, text=True, cwd=shop.folder).stdout


def read(shop: Shop, last: datetime, *, refused: datetime | None = None, service: str = "web") -> None:
    """An instance that runs has read with OLDER, and has the keys of a suspension if it refused."""
    now = datetime.now(UTC)
    previous = () if refused else (OLDER.id,)
    reads = ReadRecord(service, "web-1", OLDER.id, now, 3, last, 2 if refused else 0, refused)
    of_primary = ReadRecord(service, "web-1", OLD.id, now, 9, now)
    with shop.ledger() as ledger:
        ledger.announce(InstanceRecord("web-1", service, OLD.id, now, previous), [reads, of_primary])


@pytest.fixture
def ready(shop: Shop) -> Shop:
    """Every token is under the primary key OLD, since a run at BEGAN; OLDER is a previous key."""
    shop.fill([old_token("older"), old_token("old")])
    with freeze_time(BEGAN):
        assert shop.rotate("run").code == 0
    return shop


def test_a_suspended_key_is_there_and_refuses(ready: Shop) -> None:
    """It moves to a variable of its own, the ledger knows when, and services that have the keys refuse its tokens."""
    with freeze_time(BEGAN + timedelta(hours=1)):
        ran = ready.keys("suspend", OLDER.id)

    settings = ready.settings()
    since = _since(ready)
    assert (ran.code, ran.err) == (0, "")
    assert (settings.previous, settings.suspended) == ((), (OLDER,))
    assert since == BEGAN + timedelta(hours=1)
    assert f"Suspended {OLDER.id}: services refuse its tokens now" in ran.out
    assert "Note: no service announces its keys in the " in ran.out
    for step in (f"check {ready.options}", f"keys resume {OLDER.id}", f"keys retire {OLDER.id} --archive"):
        assert f"keyring-rotate {step}" in ran.out
    with pytest.raises(SuspendedKey, match=OLDER.id):
        Keyring(*settings).decrypt(old_token("older"))


def test_a_key_with_stored_tokens_is_not_suspended(shop: Shop) -> None:
    """Services would refuse them: `run` first. Nor is one that a service encrypts with, or that nobody counted."""
    shop.fill([old_token("older"), old_token("older", 1)])
    announce(shop, "web-1", OLDER)
    # What another service has counted says nothing of this one's targets.
    with shop.ledger() as ledger:
        ledger.keep_censuses([census_of("other", "creds", "token", taken=BEGAN, complete=True)])
    unknown = shop.keys("suspend", OLDER.id, "--json")
    shop.rotate("status")
    known = shop.keys("suspend", OLDER.id)
    mistaken = shop.keys("suspend", OLDER.id, "--force", OLD.id)

    lagging, uncounted = refusals(unknown)
    assert (unknown.code, known.code, mistaken.code) == (1, 1, 2)
    assert lagging.startswith("web on web-1 (seen ")
    assert uncounted.startswith("the ledger has no count of the targets")
    assert f"2 tokens under {OLDER.id} are still stored, and services would refuse them" in known.out
    assert f"Next: keyring-rotate run {shop.options}" in known.out
    assert shop.settings().suspended == ()

    forced = shop.keys("suspend", OLDER.id, "--force", OLDER.id)

    assert forced.code == 0
    assert "Note: forced, though " in forced.out
    assert shop.settings().suspended == (OLDER,)


SAMPLED = "creds.token: only a sample of it was counted"


@pytest.mark.some(2)
@pytest.mark.parametrize(
    ("counted", "reason"),
    [
        (["check --sample 1"], SAMPLED),
        (["check"], None),
        (["check", "check --sample 1"], SAMPLED),
        (["run", "check --sample 1"], None),
    ],
    ids=str,
)
def test_a_sample_is_no_count(shop: Shop, counted: list[str], reason: str | None) -> None:
    """It may have missed every token under the key. A run's count stays beside what later checks sample."""
    shop.fill([old_token("old"), old_token("old", 1)])
    for command in counted:
        shop.rotate(*command.split())
    ran = shop.keys("suspend", OLDER.id, "--json")

    assert [each.partition(",")[0] for each in refusals(ran)] == ([reason] if reason else [])


def test_a_count_from_before_the_primary_key_took_over_is_no_count(shop: Shop) -> None:
    """Services wrote under the older key until then. A promotion that is still to come is of a wrong clock."""
    shop.write_env(f"ENCRYPTION_KEY={key_text('older')}\n")
    shop.fill([])
    shop.rotate("check")
    shop.database.insert("creds", [{"id": 1, "token": old_token("older"), "note": ""}])
    shop.keys("stage")
    shop.keys("promote")
    primary = shop.settings().primary.id
    before = shop.keys("suspend", OLDER.id, "--json")
    shop.rotate("run")
    after = shop.keys("suspend", OLDER.id)
    shop.keys("resume", OLDER.id)
    with freeze_time(datetime.now(UTC) + timedelta(days=1)), shop.ledger() as ledger:
        ledger.mark(primary, "promoted", "default")
    ahead = shop.keys("suspend", OLDER.id)

    [reason] = refusals(before)
    assert reason.startswith(f"creds.token: its last count is from before {primary} became the primary key")
    assert (after.code, ahead.code) == (0, 0)


def test_a_target_that_was_never_counted_is_named(ready: Shop) -> None:
    """rotation.toml has got one more since; if that is optional, only rows that a `where` leaves out are noted."""
    ready.database.execute("CREATE TABLE more (id INTEGER PRIMARY KEY, token TEXT)")
    entry = f'[[target]]\nurl = "{ready.database.url}"\ntable = "more"\ncolumns = ["token"]\n'
    before = f"{ready.config.read_text()}where = \"note <> 'x'\"\n"
    ready.config.write_text(before)
    ready.rotate("run")
    ready.config.write_text(f"{before}{entry}")
    ran = ready.keys("suspend", OLDER.id, "--json")
    ready.config.write_text(f"{before}{entry}optional = true\n")
    done = ready.keys("suspend", OLDER.id)

    [reason] = refusals(ran)
    assert reason.startswith("more.token: the ledger has no count of it, so nobody knows")
    assert done.code == 0
    assert "Note: rows that a `where` leaves out were not counted" in done.out


def test_a_key_set_with_the_same_secret_keeps_it_from_being_suspended(shop: Shop) -> None:
    """Both read it in one variable, so both would refuse; the other one still has tokens."""
    other = make_key("older")
    shop.fill([old_token("old")])
    shop.database.execute("CREATE TABLE theirs (id INTEGER PRIMARY KEY, token TEXT)")
    shop.database.insert("theirs", [{"id": 1, "token": old_token("older")}])
    entries = [
        f'[[target]]\nurl = "{shop.database.url}"\ntable = "{table}"\ncolumns = ["token"]\nkeys = "{name}"\n'
        f'[keys.{name}]\nprimary = {{ secret = "$NOW" }}\nprevious = [{{ secret = "$OLD" }}]\n'
        'suspended = [{ secret = "$TRIED" }]\n'
        for table, name in (("creds", "a"), ("theirs", "b"))
    ]
    shop.config.write_text("".join(entries))
    shop.write_env(f"NOW={key_text('old')}\nOLD={key_text('older')}\n")
    shop.rotate("status")
    before = shop.keys("suspend", other.id, "--keys", "a", "--json")
    shop.rotate("run")
    after = shop.keys("suspend", other.id, "--keys", "a")

    [reason] = refusals(before)
    assert reason.startswith(
        f"{other.id}, a previous key of the key set b, is made of the same secret, and is suspended with it: "
        f"theirs.token: 1 token under {other.id} is still stored"
    )
    assert after.code == 0


@pytest.mark.parametrize("step", ["suspend", "resume"])
def test_only_the_right_key_takes_the_step(ready: Shop, step: str) -> None:
    """A primary key is neither suspended nor resumed; a key that is not there is named with those that are."""
    before = ready.env_file.read_bytes()
    primary, unknown = ready.keys(step, OLD.id), ready.keys(step, "00000000")

    assert (primary.code, unknown.code) == (2, 2)
    assert f"{OLD.id} is primary, " in primary.err
    assert f"no key 00000000 in this environment; there are {OLD.id}, {OLDER.id}" in unknown.err
    assert ready.env_file.read_bytes() == before


def test_a_suspended_key_does_not_become_primary(ready: Shop) -> None:
    """Nobody can go back to it before it is resumed."""
    ready.keys("suspend", OLDER.id)
    ran = ready.keys("promote", OLDER.id)

    assert ran.code == 2
    assert f"Next: resume it first: keyring-rotate keys resume {OLDER.id} {ready.options}" in ran.err


def test_a_primary_key_among_the_suspended_ones_is_not_suspended_by_the_next_promotion(ready: Shop) -> None:
    """It has no effect there; as a previous key it would refuse every token that is stored."""
    ready.write_env(f"{ready.env_file.read_text()}ENCRYPTION_SUSPENDED_KEYS={key_text('old')}\n")
    ready.keys("stage")
    ran = ready.keys("promote")

    settings = ready.settings()
    assert (ran.code, settings.previous, settings.suspended) == (0, (OLD, OLDER), ())


@pytest.mark.some(1)
@pytest.mark.parametrize("between", [[], ["run"]], ids=["at once", "after a run"])
def test_resuming_says_what_was_refused(ready: Shop, between: list[str]) -> None:
    """Who, how often and when last, also from before a complete run; the ledger ends the suspension."""
    with freeze_time(BEGAN + timedelta(hours=1)):
        ready.keys("suspend", OLDER.id)
    with freeze_time(BEGAN + timedelta(hours=2)):
        read(ready, BEGAN - timedelta(hours=1), refused=BEGAN + timedelta(minutes=90))
        assert [ready.rotate(step).code for step in between] == [0] * len(between)
        ran = ready.keys("resume", OLDER.id)

    since = _since(ready)
    assert (ran.code, since) == (0, None)
    words = "web on web-1 refused 2 tokens since its start, the last at 2026-01-03 13:30:00 UTC"
    assert f"Note: meanwhile {words}." in ran.out
    # A complete run makes all that was read before it count no longer.
    assert ran.out.index("docs/how-to/queues-and-caches.md") < ran.out.index("keyring-rotate run")
    assert (ready.settings().previous, ready.settings().suspended) == ((OLDER,), ())


def test_without_a_ledger_a_key_is_not_suspended(tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """No run is recorded, so the first step is to name a ledger."""
    monkeypatch.chdir(tmp_path)
    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("older")}
    ran = cli("keys", "suspend", OLDER.id, environ=environ)

    assert ran.code == 1
    assert "there is no ledger with a count, so nobody knows what is stored under it" in ran.out
    assert "name a ledger in ROTATION_LEDGER_URL, or write a rotation.toml, beside which it is made, then: " in ran.out


def test_what_is_refused_comes_first_in_every_next_step(ready: Shop) -> None:
    """Services fail now: resume the key, once; and the trial is as long as the policy says."""
    ready.config.write_text(f"{ready.config.read_text()}\n[policy]\nsuspend_days = 2\n")
    with freeze_time(BEGAN + timedelta(hours=1)):
        ready.keys("suspend", OLDER.id)
        quiet = ready.keys("list").out
    with freeze_time(BEGAN + timedelta(hours=2)):
        read(ready, BEGAN - timedelta(hours=1), refused=BEGAN + timedelta(minutes=90))
        said = [ready.keys("list").out, ready.keys("retire", OLDER.id, "--no-archive").out, ready.rotate("status").out]

    assert "until 2026-01-05 13:00:00 UTC, see what is refused: keyring-rotate check" in quiet
    for text in said:
        assert text.count(f"keys resume {OLDER.id}") == 1
        assert text.index(f"keys resume {OLDER.id}") < text.index("docs/how-to/queues-and-caches.md")
    for text in quiet, said[0]:
        assert f"if nothing does for 2 days (suspend_days): keyring-rotate keys retire {OLDER.id}" in text


@pytest.mark.parametrize("step", ["suspend", "resume", "retire"])
def test_a_process_that_dies_between_two_files_loses_no_key(
    ready: Shop, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is in a file all the time, a suspended key stays suspended, and the same command finishes the step."""
    previous, suspended = ready.folder / "previous.keys", ready.folder / "suspended.keys"
    previous.touch(0o600)
    previous.write_text(key_text("older"))
    ready.write_env(
        f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_PREVIOUS_KEYS_FILE={previous}\n"
        f"ENCRYPTION_SUSPENDED_KEYS_FILE={suspended}\n"
    )
    if step != "suspend":
        ready.keys("suspend", OLDER.id)
    if step == "retire":
        # Somebody has put a copy there, which would have effect once the suspended one is gone.
        previous.write_text(key_text("older"))
    argv = [step, OLDER.id, *(["--no-archive"] if step == "retire" else [])]
    written = []

    def die_after_one(file: Snapshot, data: bytes) -> Snapshot:
        if written:
            raise StoreError("killed")
        written.append(data)
        return replace_whole(file, data)

    with monkeypatch.context() as dying:
        dying.setattr("rotation.lifecycle.environment_keys.replace_whole", die_after_one)
        died = ready.keys(*argv)
    between = ready.settings()
    finished = ready.keys(*argv)
    again = ready.keys(*argv)

    after = ready.settings()
    assert (died.code, finished.code, again.code) == (3, 0, 0 if step == "suspend" else 2)
    assert between.suspended == (OLDER,)
    assert (after.previous, after.suspended) == {
        "suspend": ((), (OLDER,)),
        "resume": ((OLDER,), ()),
        "retire": ((), ()),
    }[step]
    assert previous.read_text().count(key_text("older")) == (step == "resume")
    assert suspended.read_text().count(key_text("older")) == (step == "suspend")
    assert suspended.stat().st_mode & 0o777 == 0o600
    if step == "suspend":
        assert f"Suspended {OLDER.id}: finished what was cut short" in finished.out
        assert f"{OLDER.id} is suspended already" in again.out


def test_a_run_moves_tokens_under_a_suspended_key(shop: Shop) -> None:
    """As those under a previous key; status counts them before."""
    shop.fill([old_token("older"), old_token("old")])
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_SUSPENDED_KEYS={key_text('older')}\n")
    counted, moved = shop.rotate("status"), shop.rotate("run")

    assert (counted.code, moved.code) == (1, 0)
    assert f"1 token {OLDER.id} -> {OLD.id}" in counted.out
    assert [Keyring(OLD).needs_rotation(cell) for cell in shop.database.column().values()] == [False, False]


def test_a_key_in_a_cell_under_a_suspended_key_is_read(shop: Shop) -> None:
    """By this program, which has to move that cell; a service is refused."""
    shop.fill([Keyring(OLDER).encrypt(key_text("new"))])
    where = f'url = "{shop.database.url}", cell = "creds.token", where = "id = 1", keys = "kek"'
    shop.config.write_text(
        f"[keys.app]\nprimary = {{ {where} }}\n"
        '[keys.kek]\nprimary = { secret = "$NOW" }\nsuspended = [{ secret = "$TRIED" }]\n'
    )
    shop.write_env(f"NOW={key_text('old')}\nTRIED={key_text('older')}\n")
    ran = shop.keys("list", "--keys", "app")

    assert ran.code == 0
    assert make_key("new").id in ran.out


def test_a_key_set_needs_a_place_for_suspended_keys(shop: Shop) -> None:
    """Without one the key stays; with one it moves there."""
    shop.fill([old_token("older")])
    target = f'[[target]]\nurl = "{shop.database.url}"\ntable = "creds"\ncolumns = ["token"]\nkeys = "app"\n'
    own = '[keys.app]\nprimary = { secret = "$NOW" }\nprevious = [{ secret = "$OLD" }]\n'
    shop.write_env(f"NOW={key_text('old')}\nOLD={key_text('older')}\n")
    shop.config.write_text(target + own)
    shop.rotate("run")
    refused = shop.keys("suspend", OLDER.id, "--keys", "app")
    shop.config.write_text(f'{target}{own}suspended = [{{ secret = "$TRIED" }}]\n')
    done = shop.keys("suspend", OLDER.id, "--keys", "app")
    back = shop.keys("resume", OLDER.id, "--keys", "app")

    assert (refused.code, done.code, back.code) == (2, 0, 0)
    assert "[keys.app] has no place for suspended keys" in refused.err
    assert f"keys resume {OLDER.id} --keys app" in done.out
    assert dotenv_values(shop.env_file) == {"NOW": key_text("old"), "OLD": key_text("older"), "TRIED": ""}


def test_keys_that_no_file_holds_are_moved_by_hand(ready: Shop) -> None:
    """Both variables are named, in the order in which no key is ever nowhere."""
    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("older")}
    ran = ready.keys("suspend", OLDER.id, environ=environ)

    assert ran.code == 1
    lines = [line for line in ran.out.splitlines() if " -> ENCRYPTION_" in line]
    assert lines == [
        f"  {OLDER.id} (now in ENCRYPTION_PREVIOUS_KEYS) -> ENCRYPTION_SUSPENDED_KEYS, set in the environment",
        "  nothing -> ENCRYPTION_PREVIOUS_KEYS, set in the environment",
    ]


def test_a_key_that_something_else_reads_with_stays(ready: Shop) -> None:
    """A read after the last complete run, by any service: tokens are somewhere that no target is."""
    with freeze_time(BEGAN + timedelta(hours=1)):
        read(ready, BEGAN + timedelta(minutes=30), service="billing")
        refused = ready.keys("retire", OLDER.id, "--no-archive", "--json")
        said = {name: ready.rotate(*name.split()).out for name in ("check", "status", "keys list")}
        [_, listed] = json.loads(ready.keys("list", "--json").out)["keys"]
        page = ready.folder / "page.html"
        ready.rotate("report", "--html", str(page))

    reason = (
        "reads since the last complete run, of 2026-01-03 12:00:00 UTC: billing on web-1 opened 3 tokens since its "
        f"start, the last at 2026-01-03 12:30:00 UTC; so something outside of the targets holds tokens under {OLDER.id}"
    )
    assert (refused.code, refusals(refused)) == (1, [reason])
    assert "docs/how-to/queues-and-caches.md" in refused.out
    assert (listed["last_read"], listed["read_by"]) == ("2026-01-03T12:30:00+00:00", "billing on web-1")
    assert (listed["refused"], listed["standing"]) == (0, "needed")
    assert f"WARNING  key_reads  {OLDER.id}" in said["check"]
    assert reason in said["check"]
    assert f"{OLDER.id} stays for {reason}." in said["status"]
    assert "30 minutes ago by billing" in said["keys list"]
    assert "30 minutes ago by billing" in page.read_text()
    assert all(f"Nothing that was read needs {OLDER.id}" not in text for text in said.values())

    # Whatever held them was emptied.
    with freeze_time(BEGAN + timedelta(hours=2)):
        ready.rotate("run")
    with freeze_time(BEGAN + timedelta(hours=3)):
        read(ready, BEGAN + timedelta(minutes=30), service="billing")
        done = ready.keys("retire", OLDER.id, "--no-archive", "--json")

    [certificate] = _certificates(ready)
    assert done.code == 0
    assert certificate["reads"] == {
        "asked": ["billing on web-1, up to 2026-01-03 15:00:00 UTC"],
        "since": "2026-01-03T14:00:00+00:00",
        "last": ["billing on web-1 opened 3 tokens since its start, the last at 2026-01-03 12:30:00 UTC"],
        "suspended": None,
    }


def test_an_instance_that_said_nothing_since_is_noted(ready: Shop) -> None:
    """The retirement goes on, and the certificate says that its reads are not known."""
    with freeze_time(BEGAN - timedelta(minutes=1)):
        read(ready, BEGAN - timedelta(hours=1))
    with freeze_time(BEGAN + timedelta(minutes=5)):
        ran = ready.keys("retire", OLDER.id, "--no-archive")

    words = "web on web-1 said nothing of what is read with which key since 2026-01-03 12:00:00 UTC"
    assert ran.code == 0
    assert f"Note: {words}." in ran.out
    [certificate] = _certificates(ready)
    assert words in certificate["unchecked"]
    assert certificate["reads"]["asked"] == []


def test_a_policy_wants_a_trial(ready: Shop) -> None:
    """For so many days, which the ledger counts, with every instance taking part; --force overrides that."""
    ready.config.write_text(f"{ready.config.read_text()}\n[policy]\nsuspend_days = 2\n")
    start, answers = BEGAN + timedelta(hours=1), []

    def ask(after: timedelta) -> None:
        with freeze_time(start + after):
            ran = ready.keys("retire", OLDER.id, "--no-archive", "--json")
            answers.append("done" if ran.code == 0 else refusals(ran)[0])

    ask(timedelta())
    with freeze_time(start):
        shown = ready.rotate("run").out
        ready.keys("suspend", OLDER.id)
        read(ready, BEGAN - timedelta(hours=1))
    ask(timedelta(minutes=2))
    ask(timedelta(days=2, seconds=-1))
    with freeze_time(start + timedelta(days=2)):
        over = ready.rotate("check").out
    ask(timedelta(days=2))

    policy = f"the policy (suspend_days): {OLDER.id} has to be suspended for 2 days first"
    assert answers == [
        policy,
        f"{policy}, and web on web-1 (seen 2026-01-03 13:00:00 UTC) still opens its tokens",
        f"{policy}; it is since 2026-01-03 13:00:00 UTC, so until 2026-01-05 13:00:00 UTC",
        "done",
    ]
    assert f"{OLDER.id} stays for {policy}.\nNext: keyring-rotate keys suspend {OLDER.id} {ready.options}" in shown
    assert "the 2 days are over: retire it" in over
    [certificate] = _certificates(ready)
    assert certificate["reads"]["suspended"] == "2026-01-03T13:00:00+00:00"


@pytest.fixture(params=["sqlite", "postgresql"])
def any_shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """Its tokens and its ledger are in one database."""
    with open_database(request.param, tmp_path) as database:
        shop = Shop(tmp_path, database)
        shop.write_env(f"{shop.env_file.read_text()}ROTATION_LEDGER_URL={database.url}\n")
        shop.ledger_url = database.url
        yield shop


def test_a_service_tells_what_it_reads_and_refuses(any_shop: Shop) -> None:
    """A real process that reads a token from a queue keeps the key; once it is suspended, check says who refused."""
    shop, queued = any_shop, old_token("older", 7)
    shop.fill([old_token("older")])
    shop.rotate("run")
    opened = serve(shop, queued)
    kept = refusals(shop.keys("retire", OLDER.id, "--no-archive", "--json"))
    suspended = shop.keys("suspend", OLDER.id)
    refused = serve(shop, queued)
    checked = shop.rotate("check")

    assert opened.strip()
    assert f"\n{OLDER.id} is suspended\n" in refused
    assert len(kept) == 1
    assert "default on web-1 opened 1 token since its start, the last at " in kept[0]
    assert suspended.code == 0
    assert "default on web-1 opened 1 token since its start" in suspended.out
    assert "it will be refused from now on" in suspended.out
    assert checked.code == 1
    assert f"WARNING  suspended_keys  {OLDER.id}\n" in checked.out
    assert "default on web-1 refused 1 token since its start, the last at " in checked.out
    assert f"keyring-rotate keys resume {OLDER.id}" in checked.out


def _since(shop: Shop) -> datetime | None:
    """Since when the ledger calls OLDER suspended."""
    with shop.ledger() as ledger:
        dates = {key.id: key.suspended for key in ledger.keys()}  # noqa: SIM118
    return dates[OLDER.id]


def _certificates(shop: Shop) -> list[dict[str, Any]]:
    with shop.ledger() as ledger:
        return ledger.certificates()
