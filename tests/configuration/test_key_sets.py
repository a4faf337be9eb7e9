"""Key sets of rotation.toml: which keys they are, and what is refused."""

from __future__ import annotations

import hashlib
import pickle
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from keyring_core import Derivation, Key, KeyConfigError, KeyConfigWarning, Keyring, KeyState, key_commands
from keyring_core.errors import WeakKeyError
from keyring_core.key_commands import run_key_command
from keyring_core.redaction import get_redactor
from rotation.applications.presets import load_preset, preset_names
from rotation.configuration.config_file import read_config
from rotation.configuration.key_sets import KeyPlaces, KeySet
from rotation.configuration.key_sources import KeyCell, KeySource
from rotation.context import Context, entries_of_apps
from rotation.model.failures import UsageError
from rotation.world.key_rings import KeyRings
from tests.conftest import Named
from tests.keyring_core.test_errors import leaks, locals_in
from tests.keys import key_text, make_key

SECRET = "correct horse, battery # staple"


def a_set(**settings: Any) -> KeySet:
    return msgspec.convert(settings, KeySet)


def no_cell(cell: KeyCell, keyring: Keyring) -> bytes | None:
    raise AssertionError(f"{cell} is in a database, and {keyring} was to open it")


def settings(environ: Mapping[str, str] | None = None, **sources: Any) -> tuple[Any, ...]:
    return KeyRings(KeyPlaces("app", {"app": a_set(**sources)}), environ or {}, no_cell).settings()


def sha256_key(secret: str) -> Key:
    return Key(hashlib.sha256(secret.encode()).digest())


def test_every_key_is_made_in_its_own_way(tmp_path: Path) -> None:
    """A derived primary key, older raw ones from a file, and a staged key that a command prints."""
    (tmp_path / "old").write_text(f"# older ones\n{key_text('old')}\n{key_text('older')}\n")
    (tmp_path / "old").chmod(0o600)
    environ = {"SECRET": SECRET}

    found = settings(
        environ,
        primary={"secret": "$SECRET", "derive": "sha256"},
        previous=[{"file": str(tmp_path / "old")}],
        staged={"command": f"echo {key_text('new')}"},
    )

    assert found == (sha256_key(SECRET), (make_key("old"), make_key("older")), make_key("new"), ())


def test_a_passphrase_in_a_file_is_taken_whole(tmp_path: Path) -> None:
    """Its commas and hash signs are part of it; the line break at the end is not."""
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    (tmp_path / "secret").chmod(0o600)

    assert settings(primary={"file": str(tmp_path / "secret"), "derive": "sha256"})[0] == sha256_key(SECRET)


def test_a_salt_may_be_a_variable() -> None:
    """Its value is read; a variable that is not set is named."""
    source = {"secret": "$SECRET", "derive": "pbkdf2-sha256", "salt": "$SALT", "iterations": 1000}
    expected = hashlib.pbkdf2_hmac("sha256", SECRET.encode(), b"pepper", 1000)

    assert settings({"SECRET": SECRET, "SALT": "pepper"}, primary=source)[0] == Key(expected)
    settings({"SECRET": SECRET, "SALT": "another salt, 4711"}, primary=source)
    assert "4711" not in get_redactor().redact("salted with another salt, 4711")
    with pytest.raises(KeyConfigError, match=r"its salt is \$SALT, and that variable is not set"):
        settings({"SECRET": SECRET}, primary=source)


@pytest.mark.parametrize("value", [None, "", "  "])
def test_only_the_primary_key_has_to_be_there(value: str | None, tmp_path: Path) -> None:
    """Unset or empty variables of older keys and of a staged one are no keys; nor are files that a step would make."""
    environ = {"KEY": key_text("new")} | ({} if value is None else {"OLD": value, "NEXT": value})

    found = settings(environ, primary={"secret": "$KEY"}, previous=[{"secret": "$OLD"}], staged={"secret": "$NEXT"})
    assert found == (make_key("new"), (), None, ())
    assert settings(environ, primary={"secret": "$KEY"}, staged={"file": str(tmp_path / "next")})[2] is None
    assert settings(environ, primary={"secret": "$KEY"}, suspended=[{"file": str(tmp_path / "tried")}])[3] == ()
    with pytest.raises(KeyConfigError, match=r"\[keys\.app\] primary \(\$GONE\): not set"):
        settings(environ, primary={"secret": "$GONE"})
    # A derived set needs no key of 44 characters.
    fault = "not set" if value is None else "empty"
    with pytest.raises(KeyConfigError, match=rf"primary \(\$OLD\): {fault}. Set the secret that the application uses"):
        settings(environ, primary={"secret": "$OLD", "derive": "sha256"})


def test_a_set_has_suspended_keys_in_a_list() -> None:
    """Several may stand in one variable; one that is a previous key, too, is suspended."""
    environ = {"KEY": key_text("new"), "OLD": key_text("old"), "TRIED": f"{key_text('older')},{key_text('old')}"}
    sources = {"primary": {"secret": "$KEY"}, "previous": [{"secret": "$OLD"}], "suspended": [{"secret": "$TRIED"}]}

    with pytest.warns(KeyConfigWarning, match=r"\[keys\.app\] previous 1 \(\$OLD\), key 1 of 1: the same"):
        found = settings(environ, **sources)

    assert found == (make_key("new"), (), None, (make_key("older"), make_key("old")))


def test_a_weak_older_key_needs_the_switch() -> None:
    """As in the environment: refused with the variable that admits it."""
    environ, zeros = {"KEY": key_text("new"), "OLD": "A" * 43 + "="}, Key(bytes(32))
    sources = {"primary": {"secret": "$KEY"}, "previous": [{"secret": "$OLD"}]}

    with pytest.raises(WeakKeyError, match="ENCRYPTION_ALLOW_WEAK_PREVIOUS=1 admits it"):
        settings(environ, **sources)
    with pytest.warns(UserWarning, match="accepted to read old tokens"):
        assert settings({**environ, "ENCRYPTION_ALLOW_WEAK_PREVIOUS": "1"}, **sources)[1] == (zeros,)


def test_a_place_is_named_in_every_refusal() -> None:
    """The set, the place in it and the variable, and nothing of the value."""
    environ = {"KEY": key_text("new"), "OLD": f"{key_text('old')},{key_text('older')[:-3]}"}

    with pytest.raises(KeyConfigError) as caught:
        settings(environ, primary={"secret": "$KEY"}, previous=[{"secret": "$OLD"}])
    assert "[keys.app] previous 1 ($OLD), key 2 of 2" in str(caught.value)
    assert key_text("older")[:8] not in str(caught.value)


def test_what_is_read_shows_no_secret() -> None:
    """Neither the repr of a key that was read, nor what is sent to a worker, holds one."""
    keys = a_set(primary={"secret": "$SECRET", "derive": "sha256"})
    [read] = KeyRings(KeyPlaces("app", {"app": keys}), {"SECRET": SECRET}, no_cell).read()

    assert (read.state, read.text) == (KeyState.PRIMARY, SECRET)
    assert SECRET not in repr(read)
    sent = pickle.dumps(KeyPlaces("app", {"app": keys}))
    assert pickle.loads(sent) == KeyPlaces("app", {"app": keys})
    assert SECRET.encode() not in sent


BAD_SETS = {
    "a secret in the file": ('primary = { secret = "hunter2-hunter2" }', r'secret is "\$NAME" of a variable'),
    "two places": (
        'primary = { secret = "$A", file = "b" }',
        r"takes one of secret, file, command, cell, and has secret and file",
    ),
    "no place": ('primary = { derive = "sha256" }', "and has none"),
    "an unknown kind": ('primary = { secret = "$A", derive = "sha265" }', "did you mean sha256"),
    "a salt too much": ('primary = { secret = "$A", derive = "sha256", salt = "s" }', "takes no salt"),
    "no salt": ('primary = { secret = "$A", derive = "pbkdf2-sha256", iterations = 3 }', "set its salt"),
    "a cell without its keys": ('primary = { cell = "a.b", url = "$URL" }', 'cell needs keys = "NAME"'),
    "a cell without a column": ('primary = { cell = "a", keys = "app", url = "$URL" }', "cell is "),
    "a cell without a url": ('primary = { cell = "a.b", keys = "app" }', "cell needs a url"),
    "a cell under itself": (
        'primary = { cell = "a.b", keys = "app", url = "$URL" }',
        r"\[keys.app\] is in a cell under \[keys.app\]: so no key opens the first",
    ),
    "a cell under no set": (
        'primary = { cell = "a.b", keys = "apq", url = "$URL" }',
        r"rotation.toml has no \[keys.apq\]; did you mean app",
    ),
    "a condition without a cell": ('primary = { secret = "$A", where = "id = 1" }', "has where, which only a cell"),
    "no primary key": ("previous = []", "primary"),
    "an unknown setting": ('primary = { secret = "$A", dervie = "sha256" }', "dervie"),
}


def test_a_set_is_checked_before_any_key_is_read(tmp_path: Path, named: Named) -> None:
    """The file and the place are named, and no value is shown."""
    for name, (lines, words) in BAD_SETS.items():
        with named(name):
            path = tmp_path / "rotation.toml"
            path.write_text(f"[keys.app]\n{lines}\n")

            with pytest.raises(UsageError, match=words) as caught:
                read_config(path, entries_of_apps).key_sets()
            assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["two words", "a/b", "-x", "ü", "n" * 51])
def test_a_name_of_a_set_can_be_typed(name: str, tmp_path: Path) -> None:
    """It stands in commands, and behind the service in the ledger."""
    path = tmp_path / "rotation.toml"
    path.write_text(f'[keys."{name}"]\nprimary = {{ secret = "$A" }}\n')

    with pytest.raises(UsageError, match="a name has up to 50 letters, digits, dots, hyphens and underscores"):
        read_config(path, entries_of_apps).key_sets()


def test_a_long_service_leaves_room_for_its_sets(tmp_path: Path) -> None:
    """Two sets never have one name in the ledger, which holds 100 characters."""
    path = tmp_path / "rotation.toml"
    path.write_text("".join(f'[keys.{name}]\nprimary = {{ secret = "$A" }}\n' for name in ("one", "two")))
    context = Context({"ROTATION_SERVICE": "s" * 120}, path)

    with context:
        names = [context.with_keys(name).service for name in ("one", "two")]

    assert names == [f"{'s' * 96}/one", f"{'s' * 96}/two"]


def test_a_target_names_a_set_of_the_file(tmp_path: Path) -> None:
    """A name that is none is refused with the nearest one."""
    path = tmp_path / "rotation.toml"
    target = '[[target]]\nurl = "sqlite:///a.db"\ntable = "t"\ncolumns = ["c"]\nkeys = "{}"\n'
    sets = '[keys.redash]\nprimary = { secret = "$A" }\n'

    path.write_text(target.format("redash") + sets)
    assert [each.keys for each in read_config(path, entries_of_apps).targets({})] == ["redash"]
    path.write_text(target.format("redsh") + sets)
    with pytest.raises(UsageError, match=r"REDSH_ENCRYPTION_KEY is not set; did you mean redash\?"):
        read_config(path, entries_of_apps).targets({})


def test_a_command_gets_no_secret_of_a_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that prints one key has neither the secrets nor the salts of any set, but what else there is."""
    monkeypatch.setenv("PLANE_SALT", "of the process")
    path = tmp_path / "rotation.toml"
    primary = '{ secret = "${PLANE_SECRET}", derive = "pbkdf2-sha256", salt = "$PLANE_SALT", iterations = 1 }'
    app = '[keys.app]\nprimary = { command = "env", derive = "sha256" }\n'
    path.write_text(f"[keys.plane]\nprimary = {primary}\n{app}")
    environ = {"PLANE_SECRET": SECRET, "PLANE_SALT": "pepper", "PLANE_URL": "http://plane"}

    [read] = KeyRings(KeyPlaces("app", read_config(path, entries_of_apps).key_sets()), environ, no_cell).read()

    given = dict(line.partition("=")[::2] for line in read.text.splitlines())
    assert (given["PLANE_URL"], {"PLANE_SECRET", "PLANE_SALT"} & {*given}) == ("http://plane", set())


def test_a_worker_knows_the_sets_that_models_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets their names alone, reads the same variables as a service, and keeps these from key commands."""
    monkeypatch.setattr(key_commands, "_holding_keys", set())
    sent = pickle.loads(pickle.dumps(KeyPlaces(None, {"billing": None})))
    seen, key = tmp_path / "seen", key_text("a")
    code = f"import os, pathlib; pathlib.Path({str(seen)!r}).write_text(' '.join(os.environ)); print({key!r})"
    environ = {"ENCRYPTION_KEY_COMMAND": shlex.join([sys.executable, "-c", code]), "BILLING_ENCRYPTION_KEY": SECRET}

    own, billing = (
        KeyRings(sent, environ, no_cell).keyring(),
        KeyRings(KeyPlaces("billing", sent.sets), environ | {"BILLING_ENCRYPTION_KEY": key}, no_cell).keyring(),
    )

    assert own.primary == billing.primary == make_key("a")
    assert "BILLING_ENCRYPTION_KEY" not in seen.read_text().split()
    assert KeyPlaces("billing", sent.sets).place(KeyState.STAGED) == "BILLING_ENCRYPTION_STAGED_KEY"


@pytest.mark.parametrize("read", [KeyRings.keyring, KeyRings.settings])
def test_no_frame_of_an_error_shows_a_secret(read: Callable[..., object]) -> None:
    """A tool that shows the locals of frames shows neither the secrets of a set nor its environment."""
    keys = KeyPlaces("app", {"app": a_set(primary={"secret": "$A"}, previous=[{"secret": "$B"}, {"secret": "$C"}])})
    environ = {"A": key_text("a"), "B": key_text("b"), "C": f"{key_text('c')}x"}

    with pytest.raises(KeyConfigError) as caught:
        read(KeyRings(keys, environ, no_cell))

    assert not any(leaks(locals_in(caught.value), key) for key in environ.values())


def test_only_a_set_in_force_keeps_its_variables_from_key_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application that is known, and not in use, takes no variable from a command that prints a key."""
    monkeypatch.setattr("keyring_core.key_commands._holding_keys", set())
    load_preset.cache_clear()
    for name in preset_names():
        load_preset(name)
    path, environ = tmp_path / "rotation.toml", {"LANGFLOW_SECRET_KEY": "of-another-program", "MINE": "secret"}
    path.write_text('[keys.mine]\nprimary = { secret = "$MINE" }\n')
    print_variables = f"{sys.executable} -c 'import os; print(*os.environ)'"

    read_config(path, entries_of_apps)

    printed = run_key_command(print_variables, "KEY_COMMAND", environ, 30).decode().split()
    assert "LANGFLOW_SECRET_KEY" in printed
    assert "MINE" not in printed


def test_a_worker_keeps_the_variables_of_sets_from_key_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets the sets from the run that sent it, and reads no rotation.toml."""
    monkeypatch.setattr("keyring_core.key_commands._holding_keys", set())
    command = f'{sys.executable} -c \'import os; print(os.environ.get("SALT", "no such variable, said this"))\''
    source = KeySource(command=command, derive="pbkdf2-sha256", salt="$SALT", iterations=1)
    keys = KeyPlaces("mine", {"mine": KeySet(source)})

    keyring = KeyRings(keys, {"SALT": "a salt"}, no_cell).keyring()

    expected = Derivation("pbkdf2-sha256", salt="a salt", iterations=1).key(
        "no such variable, said this", "here", allow_weak=True
    )
    assert keyring.primary == expected


def test_the_place_of_a_cell_is_its_row() -> None:
    """Two rows of a column are two places, and so are two databases; the name is no test for guesses of a password."""
    cells = [
        KeySource(cell="a.b", keys="master", where=where, url=url)
        for where in ("id = 'hunter1'", "id = 'hunter2'")
        for url in ("sqlite:///hunter3.db", "$URL")
    ]

    places = [cell.origin({}) for cell in (*cells, *cells)]

    assert len(set(places)) == len(cells)
    assert not [place for place in places if "hunter" in place or not place.startswith("cell a.b (")]
    for cell, place in zip(cells, places, strict=False):
        assert hashlib.sha256(f"{cell.url}\0{cell.where}".encode()).hexdigest()[:16] not in place
