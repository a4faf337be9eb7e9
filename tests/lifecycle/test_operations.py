"""keys stage, promote and go back: which files are written, in which order, and what is refused."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from freezegun import freeze_time

from keyring_core import Key
from keyring_core.environment import Settings, load_settings
from keyring_core.redaction import Redactor
from rotation.ledger.records import InstanceRecord
from rotation.lifecycle.environment_keys import EnvironmentKeys, WrittenKeys
from rotation.lifecycle.transitions import KeyStep, promotion_refusals
from tests.keys import key_text
from tests.lifecycle.shop import NEW, OLD, OLDER, Shop, announce, old_token, refusals

pytestmark = [pytest.mark.database, pytest.mark.filterwarnings("ignore::keyring_core.KeyConfigWarning")]

KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


def staged_env(shop: Shop) -> None:
    shop.write_env(
        f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_PREVIOUS_KEYS={key_text('older')}\n"
        f"ENCRYPTION_STAGED_KEY={key_text('new')}\n"
    )


@pytest.mark.parametrize("bits", [0o644, 0o640])
def test_a_dotenv_file_that_others_can_read_takes_a_key_with_a_warning(shop: Shop, bits: int) -> None:
    """By path and mode, with the command that ends it; the file's mode stays, since services may need it."""
    shop.env_file.chmod(bits)
    mode = stat.filemode(shop.env_file.stat().st_mode)

    ran = shop.keys("stage")

    assert ran.code == 0
    assert f"Warning: {shop.env_file}: other users can read or change it ({mode})" in ran.err
    assert f"chmod 600 {shop.env_file}" in ran.err
    assert stat.S_IMODE(shop.env_file.stat().st_mode) == bits
    assert shop.settings().staged


def test_a_staged_key_is_new_and_on_disk(shop: Shop) -> None:
    """The other keys stay; the ledger knows when; no output shows a key; the next command is printed."""
    with freeze_time("2026-01-03 12:00:00"):
        ran = shop.keys("stage")

    settings = shop.settings()
    assert (ran.code, ran.err) == (0, "")
    assert (settings.primary, settings.previous) == (OLD, (OLDER,))
    assert settings.staged not in (None, OLD, OLDER)
    assert settings.staged
    assert f"Staged {settings.staged.id}" in ran.out
    assert ran.out.splitlines()[-1] == f"Next: keyring-rotate keys promote {shop.options}"
    assert not KEY.search(ran.out)
    with shop.ledger() as ledger:
        dates = {key.id: key.staged for key in ledger.keys()}  # noqa: SIM118
    assert dates == {OLD.id: None, OLDER.id: None, settings.staged.id: datetime(2026, 1, 3, 12, tzinfo=UTC)}


def test_a_second_stage_is_refused(shop: Shop) -> None:
    """Two next keys at once would leave services with different ones."""
    staged_env(shop)
    before = shop.env_file.read_bytes()
    ran = shop.keys("stage")

    assert ran.code == 2
    assert f"{NEW.id} is staged already" in ran.err
    assert f"Next: keyring-rotate keys promote {shop.options}\n" in ran.err
    assert shop.env_file.read_bytes() == before


def test_promotion_moves_both_keys(shop: Shop) -> None:
    """The staged key becomes primary, the primary the first previous one; nothing is staged then."""
    staged_env(shop)
    ran = shop.keys("promote", "--json")

    assert (ran.code, ran.document["complete"], ran.document["key"]) == (0, True, NEW.id)
    assert ran.document["files"] == [str(shop.env_file)]
    assert ran.document["next"].endswith(f"Then: keyring-rotate run {shop.options}")
    assert shop.settings() == Settings(NEW, (OLD, OLDER), None)
    assert not KEY.search(ran.out)


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        pytest.param(["promote"], f"no key is staged; {OLD.id} is primary.\nNext:\n  1. if", id="nothing-staged"),
        pytest.param(["promote", OLDER.id, "--force", OLD.id], "type the id of the key", id="force-the-primary"),
        pytest.param(["promote", "00000000"], "no key 00000000 in this environment; there are", id="unknown"),
        pytest.param(["promote", OLDER.id[:-1] + "x"], f"did you mean {OLDER.id}?", id="misspelt"),
        pytest.param(["promote", OLDER.id, "--force", OLD.id], "type the id of the key that you mean", id="force"),
        pytest.param(
            ["retire", OLD.id, "--no-archive"], f"{OLD.id} is primary, and only a previous key", id="retire-primary"
        ),
        pytest.param(["retire", "00000000", "--no-archive"], "no key 00000000", id="retire-unknown"),
    ],
)
def test_a_step_out_of_order_is_refused(shop: Shop, argv: list[str], words: str) -> None:
    """Exit code 2, what comes first, and not a byte changed."""
    shop.fill([])
    before = shop.env_file.read_bytes()
    ran = shop.keys(*argv)

    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err
    assert shop.env_file.read_bytes() == before


def test_a_promotion_that_is_typed_again_makes_no_second_key(shop: Shop) -> None:
    """The first thing to type is the run, not another staging."""
    shop.fill([])
    staged_env(shop)
    shop.keys("promote")
    again = shop.keys("promote")

    assert again.code == 2
    assert f"1. if {NEW.id} was promoted just now: keyring-rotate run {shop.options}\n" in again.err


def test_a_primary_key_cannot_be_retired(shop: Shop) -> None:
    """The message names the keys that can be, and stages no second key beside a staged one."""
    shop.fill([])
    unstaged = shop.keys("retire", OLD.id, "--no-archive")
    staged_env(shop)
    staged = shop.keys("retire", OLD.id, "--no-archive")

    assert [part.code for part in (unstaged, staged)] == [2, 2]
    assert f"only a previous key can be retired. Here that is {OLDER.id}.\n" in unstaged.err
    assert ("keys stage" in unstaged.err, "keys stage" in staged.err) == (True, False)
    assert "1. keyring-rotate keys promote" in staged.err


def test_a_staged_key_cannot_be_retired(shop: Shop) -> None:
    """It is not in use yet; the message says how to give it up."""
    shop.fill([])
    staged_env(shop)
    ran = shop.keys("retire", NEW.id, "--no-archive")

    assert f"{NEW.id} is staged" in ran.err
    assert "take it out of ENCRYPTION_STAGED_KEY everywhere" in ran.err


def test_going_back_makes_a_previous_key_primary(shop: Shop) -> None:
    """The way to roll back: by its id; what was primary is the first previous key, what is staged stays."""
    staged_env(shop)
    ran = shop.keys("promote", OLDER.id)

    assert ran.code == 0
    assert shop.settings() == Settings(OLDER, (OLD,), NEW)


def test_promotion_waits_for_the_fleet(shop: Shop) -> None:
    """An instance that could not read the new tokens stops it, and is named; others' services and dead ones do not."""
    staged_env(shop)
    with freeze_time("2026-01-03 11:00:00"):
        announce(shop, "gone:1", OLD)
    with freeze_time("2026-01-03 12:00:00"):
        announce(shop, "web-1:2", OLD, staged=NEW)
        announce(shop, "web-2:3", OLD, OLDER)
        announce(shop, "other:4", Key.generate(), service="their shop")
    with freeze_time("2026-01-03 12:03:00"):
        refused = shop.keys("promote", "--json")
        told = shop.keys("promote")
        announce(shop, "web-2:3", OLD, OLDER, staged=NEW)
        ran = shop.keys("promote", "--json")

    assert refused.code == told.code == 1
    assert refusals(refused) == [f"web on web-2:3 (seen 2026-01-03 12:00:00 UTC) does not have {NEW.id}"]
    assert "nothing was changed" in told.out
    age = "The old process announced itself 3 minutes ago, and counts as gone in 7 minutes"
    assert f"Restarted already? {age}, after 2026-01-03 12:10:00 UTC\n" in told.out
    assert told.out.splitlines()[-1] == f"      2. keyring-rotate keys promote {shop.options}"
    assert (ran.code, ran.document["notes"]) == (0, [])


def test_each_instance_without_the_key_is_a_reason_against_its_promotion() -> None:
    """The refusal names all of them, so that one round of restarts is enough."""
    now = datetime(2026, 1, 3, 12, tzinfo=UTC)
    fleet = [InstanceRecord(name, "billing", OLD.id, now) for name in ("web-1", "web-2")]

    refused = [reason for reason, _ in promotion_refusals(fleet, NEW.id, now)]

    assert refused == [f"{one.words} does not have {NEW.id}" for one in fleet]


@pytest.mark.parametrize("argv", [["--force", OLD.id], [OLD.id], [OLD.id, "--force", OLD.id]])
def test_a_promotion_that_is_typed_again_says_that_it_is_done(shop: Shop, argv: list[str]) -> None:
    """Exit code 0, the next command, and not a byte changed; staging a third key would be wrong."""
    before = shop.env_file.read_bytes()
    ran = shop.keys("promote", *argv)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [f"{OLD.id} is the primary key already.", f"Next: keyring-rotate run {shop.options}"]
    assert shop.env_file.read_bytes() == before
    assert shop.keys("promote", *argv, "--json").document["complete"] is True


def test_going_back_says_how_to_return(shop: Shop) -> None:
    """If somebody went back to a leaked key: the command that is printed returns, whatever the services have."""
    went = shop.keys("promote", OLDER.id)
    announce(shop, "web-1:2", OLDER)
    back = next(line.partition("return: ")[2] for line in went.out.splitlines() if "return: " in line)

    assert f"Note: this goes back from {OLD.id} to {OLDER.id}; do not go back to a key that leaked.\n" in went.out
    assert back == f"keyring-rotate keys promote {OLD.id} --force {OLD.id} {shop.options}"
    assert shop.keys("promote", OLD.id, "--force", OLD.id).code == 0
    assert shop.settings().primary == OLD


def test_going_back_waits_for_the_fleet(shop: Shop) -> None:
    """An instance that has dropped the older key already could not read what is written under it again."""
    announce(shop, "web-2:3", OLD)
    ran = shop.keys("promote", OLDER.id)

    assert ran.code == 1
    assert f"Refused to go back to {OLDER.id}" in ran.out
    assert f"does not have {OLDER.id}" in ran.out


def test_a_promotion_can_be_forced_by_the_key_s_id(shop: Shop) -> None:
    """For a stolen key; the refusals are still printed."""
    staged_env(shop)
    announce(shop, "web-2:3", OLD)
    ran = shop.keys("promote", "--force", NEW.id, "--json")

    assert ran.code == 0
    assert "forced, though web on web-2:3" in ran.document["notes"][0]
    assert shop.settings().primary == NEW


def test_where_no_service_announces_it_says_so(shop: Shop) -> None:
    """The output says what could not be checked."""
    staged_env(shop)

    assert "no service announces its keys in the ledger" in shop.keys("promote").out


def test_without_a_ledger_it_says_so_and_makes_none(shop: Shop) -> None:
    """No rotation.toml and no ROTATION_LEDGER_URL: no surprise file."""
    shop.config.unlink()
    ran = shop.keys("stage")

    assert ran.code == 0
    assert "there is no ledger" in ran.out
    assert not list(shop.folder.glob("*ledger*"))


class Files:
    """An environment whose variables name files."""

    def __init__(self, folder: Path) -> None:
        self.primary, self.previous, self.staged = (folder / name for name in ("primary", "previous", "staged"))
        self.primary.write_text(f"# ours\n{key_text('old')} # since 2025\n")
        self.previous.write_text(f"{key_text('older')}\n")
        for path in (self.primary, self.previous):
            path.chmod(0o600)
        self.environ = {
            "ENCRYPTION_KEY_FILE": str(self.primary),
            "ENCRYPTION_PREVIOUS_KEYS_FILE": str(self.previous),
            "ENCRYPTION_STAGED_KEY_FILE": str(self.staged),
        }


def test_key_files_are_written_where_the_environment_names_them(shop: Shop) -> None:
    """The staged one is made, for its owner alone; in the end it is empty and still there, so that services start."""
    files = Files(shop.folder)
    assert shop.keys("stage", environ=files.environ).code == 0
    staged = load_settings(files.environ).staged
    assert files.staged.stat().st_mode & 0o777 == 0o600

    ran = shop.keys("promote", environ=files.environ)

    assert (ran.code, ran.err) == (0, "")
    assert load_settings(files.environ) == Settings(staged, (OLD, OLDER), None)
    assert files.staged.read_text() == ""
    assert KEY.sub("KEY", files.primary.read_text()) == "# ours\nKEY # since 2025\n"


SHARED = {
    "primary and staged": {"ENCRYPTION_STAGED_KEY_FILE": "primary"},
    "primary and previous": {"ENCRYPTION_PREVIOUS_KEYS_FILE": "sub/../primary"},
    "previous and staged": {"ENCRYPTION_STAGED_KEY_FILE": "link"},
    "previous keys and variables": {"ENCRYPTION_PREVIOUS_KEYS_FILE": ".env"},
}


@pytest.mark.parametrize("shared", SHARED)
@pytest.mark.parametrize("named_by", ["environment", "key set"])
def test_no_step_writes_a_file_that_is_read_for_keys_of_two_states(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, shared: str, named_by: str
) -> None:
    """The new key would replace the only copy of another one; nothing is changed, whatever the file is called."""
    monkeypatch.chdir(shop.folder)
    files = Files(Path())
    (shop.folder / "sub").mkdir()
    (shop.folder / "link").symlink_to("previous")
    files.previous.write_text("")
    shop.write_env("")
    environ = {**files.environ, **SHARED[shared]}
    text = 'env_file = ".env"\n' + shop.config.read_text()
    words: tuple[str, ...] = ()
    if named_by == "key set":
        primary, previous, staged = (f'{{ file = "{path}" }}' for path in environ.values())
        text += f"[keys.own]\nprimary = {primary}\nstaged = {staged}\nprevious = [{{ file = 'none' }}, {previous}]\n"
        environ, words = {}, ("--keys", "own")
        Path("none").touch()
    shop.config.write_text(text)
    before = {path.name: path.read_bytes() for path in shop.folder.iterdir() if path.is_file()}

    ran = shop.keys("stage", *words, environ=environ)

    assert ran.code == 2, ran
    assert "name a place of its own for each" in ran.err
    assert {name: (shop.folder / name).read_bytes() for name in before} == before
    assert not files.staged.exists()


def test_the_list_ends_with_the_next_step(shop: Shop) -> None:
    """Promote what is staged, rotate and retire what is previous, otherwise stage; as text, with the ledger's dates."""
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\n")
    fresh = shop.keys("list").out.splitlines()[-2:]
    shop.keys("stage")
    staged = shop.keys("list").out.splitlines()[-2:]
    shop.keys("promote")
    promoted = shop.keys("list").out.splitlines()[-3:]

    again, primary = shop.options, shop.settings().primary.id
    retire = f"keyring-rotate keys retire {OLD.id} --archive {OLD.id}.keys {again}"
    assert fresh == ["When the key is to change:", f"Next: keyring-rotate keys stage {again}"]
    assert staged == [f"When every service has {primary}:", f"Next: keyring-rotate keys promote {again}"]
    assert promoted == ["Next:", f"  1. keyring-rotate run {again}", f"  2. when nothing needs {OLD.id}: {retire}"]


def test_a_key_that_was_primary_and_is_not_there_any_more_is_missing(shop: Shop) -> None:
    """An older file of keys is in place: the list names the key that it lacks. A key that was only staged is not."""
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\n")
    shop.keys("stage")
    staged = shop.settings().staged
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\n")
    thrown_away = shop.keys("list", "--json").document["keys"]
    shop.keys("stage")
    shop.keys("promote")
    lost = shop.settings().primary.id
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\n")
    states = {key["id"]: key["state"] for key in shop.keys("list", "--json").document["keys"]}

    assert staged
    assert [key["id"] for key in thrown_away] == [OLD.id]
    assert states == {OLD.id: "primary", lost: "missing"}


def test_a_restored_key_that_is_newer_than_the_primary_one_is_to_be_promoted(shop: Shop) -> None:
    """An older file of keys is in place: a run would leave that key's tokens alone, so it is not the next step."""
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\n")
    shop.keys("stage")
    shop.keys("promote")
    newer = shop.settings().primary
    found = shop.folder / "found.keys"
    found.touch(0o600)
    found.write_text(newer.reveal())
    shop.write_env(f"ENCRYPTION_KEY={key_text('old')}\n")
    restored = shop.keys("restore", newer.id, "--archive", str(found)).out

    assert f"{newer.id} was promoted later than the primary key {OLD.id}:\n" in restored
    assert f"  1. if the keys are swapped: keyring-rotate keys promote {newer.id} {shop.options}\n" in restored


def test_each_step_before_a_retirement_is_a_line(shop: Shop) -> None:
    """What keeps a key may take several steps, and the retirement follows them."""
    shop.fill([json.dumps([old_token("older")])])
    shop.rotate("run")
    shown = shop.keys("list").out.splitlines()
    steps = shown[shown.index("Next:") + 1 :]

    assert [step[: len("  1.")] for step in steps] == ["  1.", "  2.", "  3.", "  4."]
    assert steps[-1].startswith(f"  4. when nothing needs {OLDER.id}: keyring-rotate keys retire")
    assert not any(r"\n" in step for step in steps)


def test_a_promotion_that_was_cut_short_is_finished(shop: Shop) -> None:
    """A process that died before the last file left the primary key staged, too."""
    files = Files(shop.folder)
    files.staged.write_text(f"{key_text('old')}\n")
    ran = shop.keys("promote", environ=files.environ)

    assert "finished what was cut short" in ran.out
    assert (ran.code, files.staged.read_text()) == (0, "")


def test_going_back_that_was_cut_short_is_finished(shop: Shop) -> None:
    """A process died before the last file: the same command removes the key there, and records the date again."""
    files = Files(shop.folder)
    files.primary.write_text(f"{key_text('older')}\n")
    files.previous.write_text(f"{key_text('old')}\n{key_text('older')}\n")
    with freeze_time("2026-01-03 12:00:00"):
        assert shop.keys("promote", OLDER.id, environ=files.environ).code == 0

    assert files.previous.read_text() == f"{key_text('old')}\n"
    with shop.ledger() as ledger:
        promoted = {key.id: key.promoted for key in ledger.keys()}  # noqa: SIM118
    assert promoted == {OLDER.id: datetime(2026, 1, 3, 12, tzinfo=UTC), OLD.id: None}


def test_what_stands_somewhere_without_effect_spoils_no_step(shop: Shop) -> None:
    """A primary key that was left in the staged place, or that is listed as a previous one, too, goes from there."""
    shop.write_env(
        f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_PREVIOUS_KEYS={key_text('older')},{key_text('old')}\n"
        f"ENCRYPTION_STAGED_KEY={key_text('old')}\n"
    )

    assert shop.keys("stage").code == 0
    staged = shop.settings().staged
    assert staged not in (None, OLD)
    assert shop.keys("promote").code == 0
    assert shop.settings() == Settings(staged, (OLD, OLDER), None)


def test_a_key_left_in_the_staged_place_stays_out_when_another_is_primary(shop: Shop) -> None:
    """It would be staged again, without anybody having asked for it."""
    shop.write_env(
        f"ENCRYPTION_KEY={key_text('old')}\nENCRYPTION_PREVIOUS_KEYS={key_text('older')}\n"
        f"ENCRYPTION_STAGED_KEY={key_text('old')}\n"
    )

    assert shop.keys("promote", OLDER.id).code == 0
    assert shop.settings() == Settings(OLDER, (OLD,), None)


def test_somebody_else_s_edit_stops_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look and our write the keys became others: nothing is written."""
    staged_env(shop)
    real = Key.reveal

    def reveal(key: Key) -> str:
        shop.write_env(f"ENCRYPTION_KEY={real(OLD)}\n")
        return real(key)

    monkeypatch.setattr(Key, "reveal", reveal)
    ran = shop.keys("promote")

    assert ran.code == 2
    assert "somebody wrote it meanwhile" in ran.err
    assert shop.env_file.read_text() == f"ENCRYPTION_KEY={real(OLD)}\n"


def test_keys_that_changed_since_the_decision_stop_it(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a census ran somebody promoted another key: what was decided no longer holds."""
    staged_env(shop)
    real = EnvironmentKeys.take

    def take(keys: EnvironmentKeys, step: KeyStep, key: Key) -> WrittenKeys:
        shop.write_env(f"ENCRYPTION_KEY={key_text('older')}\nENCRYPTION_STAGED_KEY={key_text('new')}\n")
        return real(keys, step, key)

    monkeypatch.setattr(EnvironmentKeys, "take", take)
    ran = shop.keys("promote")

    assert ran.code == 2
    assert "the keys were changed while this command ran" in ran.err
    assert shop.settings().primary == OLDER


NO_FILE = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_STAGED_KEY": key_text("new")}


def test_without_a_file_it_says_what_to_put_where(shop: Shop) -> None:
    """By ids, in a safe order, without a key; exit code 1, since somebody has yet to do it."""
    ran = shop.keys("promote", environ=NO_FILE)

    assert ran.code == 1
    assert not KEY.search(ran.out + ran.err)
    assert [line for line in ran.out.splitlines() if line.startswith("  ")] == [
        f"  {OLD.id} (now in ENCRYPTION_KEY) -> ENCRYPTION_PREVIOUS_KEYS, set in the environment",
        f"  {NEW.id} (now in ENCRYPTION_STAGED_KEY) -> ENCRYPTION_KEY, set in the environment",
        "  nothing -> ENCRYPTION_STAGED_KEY, set in the environment",
    ]
    assert Redactor().redact(ran.out) == ran.out


def test_by_hand_too_a_key_that_goes_back_is_never_nowhere(shop: Shop) -> None:
    """It leaves its old place last: a service that reads in between still has it."""
    environ = {"ENCRYPTION_KEY": key_text("old"), "ENCRYPTION_PREVIOUS_KEYS": key_text("older")}
    document = shop.keys("promote", OLDER.id, "--json", environ=environ).document

    assert [(todo["variable"], todo["keys"]) for todo in document["todo"]] == [
        ("ENCRYPTION_PREVIOUS_KEYS", [OLD.id, OLDER.id]),
        ("ENCRYPTION_KEY", [OLDER.id]),
        ("ENCRYPTION_PREVIOUS_KEYS", [OLD.id]),
    ]


def test_a_key_that_is_not_kept_has_no_id(shop: Shop) -> None:
    """Without a file and without --show-key nobody gets to know it."""
    environ = {"ENCRYPTION_KEY": key_text("old")}

    document = shop.keys("stage", "--json", environ=environ).document
    assert (document["key"], [todo.keys() & {"value"} for todo in document["todo"]]) == (None, [set()])
    assert "  a new key -> ENCRYPTION_STAGED_KEY, set in the environment" in shop.keys("stage", environ=environ).out


def test_show_key_prints_what_to_put(shop: Shop) -> None:
    """The lines as they are, for a vault's own command; as JSON, too."""
    shown = shop.keys("promote", "--show-key", environ=NO_FILE)
    document = shop.keys("promote", "--show-key", "--json", environ=NO_FILE).document
    staged = shop.keys("stage", "--show-key", environ={"ENCRYPTION_KEY": key_text("old")})

    lines = [
        f"ENCRYPTION_PREVIOUS_KEYS={key_text('old')}",
        f"ENCRYPTION_KEY={key_text('new')}",
        "ENCRYPTION_STAGED_KEY=",
    ]
    assert [line for line in shown.out.splitlines() if line.startswith("ENCRYPTION")] == lines
    assert [f"{todo['variable']}={todo['value']}" for todo in document["todo"]] == lines
    assert re.search(r"^ENCRYPTION_STAGED_KEY=[A-Za-z0-9_-]{43}=$", staged.out, re.MULTILINE)


def test_a_command_s_keys_and_kubernetes_files_are_not_ours_to_write(shop: Shop) -> None:
    """The message names what holds the key."""
    (shop.folder / "..data").mkdir()
    (shop.folder / "..data" / "key").write_text(key_text("old"))
    (shop.folder / "key").symlink_to("..data/key")
    (shop.folder / "previous").touch(0o600)
    environ = {
        "ENCRYPTION_KEY_FILE": str(shop.folder / "key"),
        "ENCRYPTION_PREVIOUS_KEYS_FILE": str(shop.folder / "previous"),
        "ENCRYPTION_STAGED_KEY_COMMAND": f"echo {key_text('new')}",
    }
    ran = shop.keys("promote", environ=environ)

    assert ran.code == 1
    assert "Kubernetes keeps this file" in ran.out
    assert "read by the command in ENCRYPTION_STAGED_KEY_COMMAND" in ran.out


@pytest.mark.parametrize("dry", [pytest.param([], id="run"), pytest.param(["--dry-run"], id="dry-run")])
def test_a_run_names_the_services_that_cannot_read_what_it_writes(shop: Shop, dry: list[str]) -> None:
    """On stderr, for each; the run goes on, and its output and exit code stay the same."""
    shop.fill([old_token("old")])
    with freeze_time("2026-01-03 12:00:00"):
        before = shop.rotate("run", *dry, "--json")
        announce(shop, "web-1:2", OLD, OLDER)
        announce(shop, "web-2:3", OLDER)
        announce(shop, "other:4", Key.generate(), service="their shop")
        ran = shop.rotate("run", *dry, "--json")
        counted = shop.rotate("status")

    note = f"does not have {OLD.id}, so it cannot read what a run writes; restart it."
    assert ran.err == f"Note: web on web-2:3 (seen 2026-01-03 12:00:00 UTC) {note}\n"
    assert (ran.code, ran.document["complete"]) == (before.code, before.document["complete"])
    assert (before.err, counted.err) == ("", "")
