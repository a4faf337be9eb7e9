"""The environment in, settings out: each list of keys, each misspelt name."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

import pytest

from keyring_core import (
    Key,
    KeyConfigError,
    KeyConfigWarning,
    Keyring,
    UndecryptableToken,
    config,
    environment,
    sources,
)
from keyring_core.derivation import Derivation
from keyring_core.environment import load_settings
from keyring_core.errors import MAKE_KEY_COMMAND
from keyring_core.reload import Reloader
from tests.keyring_core.test_errors import leaks, locals_in, shown_by
from tests.keyring_core.test_key_text import (
    KEY,
    KEY_CASES,
    OTHER,
    RAW,
    REFUSALS,
    REFUSED,
    SAME_WARNED,
    encoded,
    public_example,
    spellings,
)
from tests.keys import key_text, make_key, mistyped

PRIMARY, A, B = key_text("primary"), key_text("a"), key_text("b")
LIST, SUSPENDED = "ENCRYPTION_PREVIOUS_KEYS", "ENCRYPTION_SUSPENDED_KEYS"
OUR_WORDS = (LIST, SUSPENDED, "ENCRYPTION_KEY")


def key_ids(keys) -> list[str]:
    return [key.id for key in keys]


# Lists of older keys


class Case(NamedTuple):
    id: str
    comment: str
    previous: str
    found: tuple[str, ...] | None
    """The previous keys in their order; None if the list is refused."""
    says: tuple[str, ...] = ()
    """What the error, or a warning, names."""
    environ: Mapping[str, str] = {"ENCRYPTION_KEY": PRIMARY}


LIST_CASES = [
    Case("L01", "empty", "", ()),
    Case("L02", "one", A, (A,)),
    Case("L03", "comma at the end", f"{A},", (A,), (f"{LIST}, key 2 of 2: empty",)),
    Case("L04", "commas at the end", f"{A},,", (A,), (f"{LIST}, key 2 of 3: empty", f"{LIST}, key 3 of 3: empty")),
    Case("L05", "empty item in the middle", f"{A},,{B}", (A, B), (f"{LIST}, key 2 of 3: empty",)),
    Case("L06", "blanks and newlines around items", f" {A} ,\n\t{B}\r\n", (A, B)),
    Case("L07", "the same twice", f"{A},{B},{A}", (A, B), (f"{LIST}, key 3 of 3", f"as {LIST}, key 1 of 3, ignored")),
    Case("L08", "the primary again", f"{A},{PRIMARY}", (A,), (f"{LIST}, key 2 of 2", "as ENCRYPTION_KEY, ignored")),
    Case(
        "L09",
        "the primary again, spelt differently",
        f"{next(text for text in spellings(PRIMARY) if text != PRIMARY)},{A}",
        (A,),
        (f"{LIST}, key 1 of 2", "as ENCRYPTION_KEY, ignored"),
    ),
    Case("L10", "semicolons", f"{A};{B}", None, (f"{LIST}: semicolons", "commas or newlines", "stays valid")),
    Case("L11", "JSON array", f'["{A}","{B}"]', None, (f"{LIST}: a JSON array", "commas or newlines", "stays valid")),
    Case("L12", "one bad among good ones", f"{A},{B[:30]},{A}", None, (f"{LIST}, key 2 of 3: 30 characters",)),
    Case("L13", "1000 keys", ",".join(texts := [key_text(f"older {n}") for n in range(1000)]), tuple(texts)),
    Case("L14", "no primary", A, None, ("ENCRYPTION_KEY: not set", MAKE_KEY_COMMAND), {}),
    Case("L15", "zeros", f"{A},{encoded(bytes(32))}", None, (f"{LIST}, key 2 of 2: a weak key",)),
]


def test_the_table_is_complete():
    """L01 to L15 are all here, each once."""
    assert [f"L{n:02}" for n in range(1, 16)] == [case.id for case in LIST_CASES]


def test_a_list_is_read(named):
    """Every key of the list is found, in its order; what should be tidied up gives a warning with its position."""
    for case in [case for case in LIST_CASES if case.found is not None]:
        with named(case.id):
            environ = {**case.environ, LIST: case.previous}

            with pytest.warns(KeyConfigWarning) if case.says else nullcontext() as caught:
                settings = load_settings(environ)

            assert key_ids(settings.previous) == [Key.parse(text).id for text in case.found]
            warned = "\n".join(str(warning.message) for warning in caught or ())
            assert all(words in warned for words in case.says)
            assert not leaks(warned, case.previous, *OUR_WORDS)


def test_a_list_is_refused(named):
    """The message names the variable, and the position of a wrong key; it shows no key."""
    for case in [case for case in LIST_CASES if case.found is None]:
        with named(case.id):
            with pytest.raises(KeyConfigError) as caught:
                load_settings({**case.environ, LIST: case.previous})

            assert all(words in str(caught.value) for words in case.says)
            assert not leaks(shown_by(caught.value), case.previous, *OUR_WORDS)


def test_a_fault_in_a_list_has_a_position(named):
    """Whatever is wrong with one of several keys, the message says which of them it is."""
    for bad in ("é", "\udce9", "\ufeff", " x", "'", "%", "\0", "=", "x"):
        with named(bad):
            with pytest.raises(KeyConfigError, match=rf"^{LIST}, key 2 of 3: ") as caught:
                load_settings({"ENCRYPTION_KEY": PRIMARY, LIST: f"{A},{bad}{B},{A}"})

            assert not leaks(shown_by(caught.value), B, *OUR_WORDS)


@pytest.mark.timeout(600)
def test_a_thousand_keys_do_not_hold_a_service_up():
    """L13: a service with a thousand older keys starts, and a token that none of them opens is refused."""
    environ = {"ENCRYPTION_KEY": PRIMARY, LIST: next(case.previous for case in LIST_CASES if case.id == "L13")}
    token = Keyring(key_text("elsewhere")).encrypt("x")

    ring = Keyring.from_env(environ)
    with pytest.raises(UndecryptableToken) as caught:
        ring.decrypt(token)

    assert "and 996 more" in str(caught.value)


def test_the_number_of_keys_has_a_limit():
    """L13: a list of more than a thousand keys is refused as a mistake."""
    for name in (LIST, SUSPENDED):
        with pytest.raises(KeyConfigError, match=f"^{name}: 1001 keys; at most 1000"):
            load_settings({"ENCRYPTION_KEY": PRIMARY, name: "\n".join([A] * 1001)})


@pytest.mark.parametrize(
    ("environ", "places"),
    [
        ({"ENCRYPTION_KEY": mistyped(PRIMARY), LIST: f"{A},{PRIMARY}"}, ("ENCRYPTION_KEY", f"{LIST}, key 2 of 2")),
        ({"ENCRYPTION_KEY": PRIMARY, LIST: f"{A}\n{mistyped(A)}"}, (f"{LIST}, key 1 of 2", f"{LIST}, key 2 of 2")),
        (
            {"ENCRYPTION_KEY": PRIMARY, "ENCRYPTION_STAGED_KEY": mistyped(PRIMARY)},
            ("ENCRYPTION_KEY", "ENCRYPTION_STAGED_KEY"),
        ),
        (
            {"ENCRYPTION_KEY": PRIMARY, LIST: A, "ENCRYPTION_STAGED_KEY": mistyped(A)},
            ("ENCRYPTION_STAGED_KEY", f"{LIST}, key 1 of 1"),
        ),
    ],
    ids=["primary and previous", "previous", "primary and staged", "staged and previous"],
)
def test_two_keys_that_sign_alike_are_named_by_their_places(environ, places):
    """K26: if a key and its mistyped copy are listed, the error names both places before any token is read."""
    first, second = places

    with pytest.raises(KeyConfigError, match=rf"^{first} \([0-9a-f]{{8}}\) and {second} \([0-9a-f]{{8}}\) sign alike"):
        load_settings(environ)


@pytest.mark.parametrize("raw", [bytes(32), b"\7" * 32], ids=["zeros", "sevens"])
def test_a_weak_key_is_taken_on_an_explicit_switch_alone(raw):
    """L15: the switch lets an older key read what must be rotated away from it, and warns; no other value does."""
    environ = {"ENCRYPTION_KEY": PRIMARY, LIST: encoded(raw)}

    with pytest.warns(KeyConfigWarning, match=f"{LIST}, key 1 of 1: a weak key.*rotate away"):
        settings = load_settings({**environ, "ENCRYPTION_ALLOW_WEAK_PREVIOUS": "1"})

    assert key_ids(settings.previous) == [Key(raw).id]
    for value in ("", "0", "true", " 1"):
        with pytest.raises(KeyConfigError, match=r"(?s)weak key.*ENCRYPTION_ALLOW_WEAK_PREVIOUS=1 admits it"):
            load_settings({**environ, "ENCRYPTION_ALLOW_WEAK_PREVIOUS": value})


@pytest.mark.parametrize("name", ["ENCRYPTION_KEY", "ENCRYPTION_STAGED_KEY"])
def test_no_switch_takes_a_weak_key_that_encrypts(name):
    """A primary and a staged key are always sound."""
    environ = {"ENCRYPTION_KEY": PRIMARY, "ENCRYPTION_ALLOW_WEAK_PREVIOUS": "1", name: public_example()}

    with pytest.raises(KeyConfigError, match=f"^{name}: a public example key") as caught:
        load_settings(environ)

    assert "ALLOW_WEAK" not in str(caught.value)


# The keys as they stand in an environment


IN_ENVIRONMENTS = [case for case in KEY_CASES if isinstance(case.value, str) and "\0" not in case.value]


def test_a_key_has_one_verdict_wherever_it_stands(named):
    """The table of keys holds for the variable too, and the message names the variable."""
    for case in IN_ENVIRONMENTS:
        with named(case.id):
            if case.verdict == REFUSED:
                with pytest.raises(KeyConfigError) as caught:
                    load_settings({"ENCRYPTION_KEY": case.value})
                assert str(caught.value).startswith("ENCRYPTION_KEY: ")
                continue

            with pytest.warns(KeyConfigWarning) if case.verdict == SAME_WARNED else nullcontext():
                primary = load_settings({"ENCRYPTION_KEY": case.value}).primary

            assert (primary == Key.parse(KEY_CASES[0].value)) is (case.verdict != OTHER)


@pytest.mark.parametrize("environ", [{}, {"ENCRYPTION_KEY": ""}, {"ENCRYPTION_KEY": " \t\n"}])
def test_without_a_primary_nothing_starts(environ):
    """C01: unset, empty and blank are errors that name the variable; no other key takes its place, and none is made."""
    for others in ({}, {LIST: A}, {"ENCRYPTION_STAGED_KEY": A}):
        with pytest.raises(KeyConfigError, match=r"^ENCRYPTION_KEY: (not set|empty)") as caught:
            Keyring.from_env({**environ, **others})

        assert MAKE_KEY_COMMAND in str(caught.value)


def test_settings_hold_each_key_in_its_role():
    """Primary, previous, staged and suspended keys come from their variables and keep their states."""
    environ = {"ENCRYPTION_KEY": PRIMARY, LIST: f"{A},{B}", "ENCRYPTION_STAGED_KEY": key_text("staged")}
    environ[SUSPENDED] = f"{key_text('c')}\n{key_text('d')}"

    ring = Keyring.from_env(environ)

    assert [(key.id, str(state)) for key, state in ring.states.items()] == [
        (make_key("primary").id, "primary"),
        (make_key("a").id, "previous"),
        (make_key("b").id, "previous"),
        (make_key("staged").id, "staged"),
        (make_key("c").id, "suspended"),
        (make_key("d").id, "suspended"),
    ]


@pytest.mark.parametrize("value", ["", " ", "\n"])
def test_an_empty_staged_key_is_none(value):
    """A deployment template that has nothing to stage leaves the variable empty."""
    assert load_settings({"ENCRYPTION_KEY": PRIMARY, "ENCRYPTION_STAGED_KEY": value}).staged is None


def test_a_staged_key_that_is_the_primary_warns():
    """After a promotion the left-over staged variable warns, and changes nothing."""
    with pytest.warns(KeyConfigWarning, match="ENCRYPTION_STAGED_KEY is the primary key already"):
        settings = load_settings({"ENCRYPTION_KEY": PRIMARY, "ENCRYPTION_STAGED_KEY": spellings(PRIMARY)[3]})

    assert settings.staged is None


def test_a_previous_key_that_is_staged_too_stays_staged():
    """One key has one state; the warning names both places."""
    with pytest.warns(KeyConfigWarning, match=f"{LIST}, key 1 of 1: the same key as ENCRYPTION_STAGED_KEY, ignored"):
        settings = load_settings({"ENCRYPTION_KEY": PRIMARY, LIST: A, "ENCRYPTION_STAGED_KEY": A})

    assert (settings.previous, settings.staged) == ((), make_key("a"))


def test_a_previous_key_that_is_suspended_too_is_suspended():
    """Somebody has added it there to suspend it; the warning names both places."""
    with pytest.warns(KeyConfigWarning, match=f"{LIST}, key 1 of 2: the same key as {SUSPENDED}, key 1 of 1, ignored"):
        settings = load_settings({"ENCRYPTION_KEY": PRIMARY, LIST: f"{A},{B}", SUSPENDED: A})

    assert (settings.previous, settings.suspended) == ((make_key("b"),), (make_key("a"),))


@pytest.mark.parametrize("name", ["ENCRYPTION_KEY", "ENCRYPTION_STAGED_KEY"])
def test_a_key_that_encrypts_or_will_cannot_be_suspended(name):
    """It keeps its state, with a warning: a service that refused it would lose what is written now."""
    environ = {"ENCRYPTION_KEY": PRIMARY, "ENCRYPTION_STAGED_KEY": A}
    with pytest.warns(KeyConfigWarning, match=f"{SUSPENDED}, key 1 of 1: the same key as {name}, ignored"):
        settings = load_settings(environ | {SUSPENDED: environ[name]})

    assert settings == (make_key("primary"), (), make_key("a"), ())


def test_a_weak_suspended_key_is_admitted_as_a_weak_previous_one():
    """Suspending it changes nothing about what loads."""
    raw = bytes(32)
    environ = {"ENCRYPTION_KEY": PRIMARY, SUSPENDED: encoded(raw)}
    with pytest.raises(KeyConfigError, match=f"(?s)^{SUSPENDED}, key 1 of 1.*ENCRYPTION_ALLOW_WEAK_PREVIOUS=1"):
        load_settings(environ)
    with pytest.warns(KeyConfigWarning):
        settings = load_settings({**environ, "ENCRYPTION_ALLOW_WEAK_PREVIOUS": "1"})

    assert key_ids(settings.suspended) == [Key(raw).id]


def test_settings_show_no_key():
    """The settings' repr holds key ids alone."""
    shown = repr(load_settings({"ENCRYPTION_KEY": PRIMARY, LIST: A}))

    assert make_key("primary").id in shown
    assert not leaks(shown, PRIMARY)
    assert not leaks(shown, A)


def test_a_list_may_stand_in_a_file(tmp_path):
    """One key a line with comments; a fault names variable, path and position."""
    path = tmp_path / "previous"
    path.touch(0o600)
    path.write_text(f"# 2024\n{A}\n\n# 2023\n{B}\n")
    environ = {"ENCRYPTION_KEY": PRIMARY, f"{LIST}_FILE": str(path)}

    assert key_ids(load_settings(environ).previous) == key_ids([make_key("a"), make_key("b")])

    path.write_bytes(f"{A}\n".encode() + b"\xff" + B.encode())
    with pytest.raises(KeyConfigError, match=rf"^{LIST}_FILE \({re.escape(str(path))}\), key 2 of 2: non-ASCII"):
        load_settings(environ)


@pytest.mark.parametrize("name", ["ENCRYPTION_KEY", LIST, "ENCRYPTION_STAGED_KEY"])
def test_two_forms_of_one_variable_are_an_error(name):
    """C02: whichever variable it is, both names stand in the message."""
    environ = {"ENCRYPTION_KEY": PRIMARY, name: A, f"{name}_FILE": "/nowhere"}

    with pytest.raises(KeyConfigError, match=f"^{name} and {name}_FILE are both set"):
        load_settings(environ)


def test_a_file_that_others_can_read_warns_when_keys_are_loaded(tmp_path):
    """C04: loading the settings gives the warning."""
    path = tmp_path / "key"
    path.write_text(PRIMARY)
    path.chmod(0o644)

    with pytest.warns(KeyConfigWarning, match="-rw-r--r--"):
        assert load_settings({"ENCRYPTION_KEY_FILE": str(path)}).primary == make_key("primary")


def test_a_dotenv_files_syntax_is_not_part_of_the_key(named):
    """C12: quotes, escapes and comments that a dotenv parser left in the value are refused, not guessed away."""
    cases = [f'"{PRIMARY}"', f"'{PRIMARY}'", f"{PRIMARY}\\n", f"export {PRIMARY}", f"{PRIMARY} # old"]

    for value in cases:
        with named(value):
            with pytest.raises(KeyConfigError, match=r"(?s)^ENCRYPTION_KEY: .*stays valid") as caught:
                load_settings({"ENCRYPTION_KEY": value})

            assert not leaks(shown_by(caught.value), PRIMARY)


# How often keys are looked at


def test_the_time_between_looks_is_read(named):
    """A number of seconds; by default a minute."""
    cases = [(None, 60), ("", 60), (" ", 60), ("0", 0), ("5", 5), (" 0.5 ", 0.5), ("86400", 86400)]

    for value, seconds in cases:
        with named(value):
            environ = {} if value is None else {"ENCRYPTION_RELOAD_SECONDS": value}

            assert environment.reload_seconds(environ) == seconds


def test_a_time_between_looks_that_is_none_is_refused(named):
    """What is no number of seconds from 0 on is an error that names the variable and shows no value."""
    for value in ("-1", "nan", "inf", "1e999", "60s", "one minute", A):
        with named(value):
            with pytest.raises(KeyConfigError, match=r"^ENCRYPTION_RELOAD_SECONDS: not a number of") as caught:
                environment.reload_seconds({"ENCRYPTION_RELOAD_SECONDS": value})

            assert not leaks(shown_by(caught.value), A)


def test_files_that_change_while_they_are_read_are_read_again(tmp_path, monkeypatch):
    """Keys of before and of after a promotion are never mixed: that keyring would lack one of them."""
    for name, text in (("old", PRIMARY), ("new", A)):
        (tmp_path / name).mkdir()
        for file, content in (("key", text), ("previous", f"{PRIMARY},{B}" if text == A else B)):
            (tmp_path / name / file).touch(0o600)
            (tmp_path / name / file).write_text(content)
    (tmp_path / "..data").symlink_to("old")
    environ = {"ENCRYPTION_KEY_FILE": f"{tmp_path}/..data/key", f"{LIST}_FILE": f"{tmp_path}/..data/previous"}
    read = sources.read_source

    def read_and_swap(name, *arguments):
        found = read(name, *arguments)
        if name == "ENCRYPTION_KEY" and (tmp_path / "new").exists():
            (tmp_path / "..data").unlink()
            (tmp_path / "new").rename(tmp_path / "..data")
        return found

    monkeypatch.setattr(sources, "read_source", read_and_swap)

    settings = load_settings(environ)

    assert [settings.primary.id, *key_ids(settings.previous)] == key_ids([Key.parse(text) for text in (A, PRIMARY, B)])


# Misspelt names


def test_a_misspelt_name_warns(named):
    """C07: the warning names the variable that was found and the one that was meant, and no value."""
    cases = [
        ("ENCRYPTION_KEY_OLD", "ENCRYPTION_KEY"),
        ("ENCRYPTION_KEYS", "ENCRYPTION_KEY"),
        ("ENCRYPTION_PREVIOUS_KEY", "ENCRYPTION_PREVIOUS_KEYS"),
        ("ENCRYPTION_PREVIUOS_KEYS", "ENCRYPTION_PREVIOUS_KEYS"),
        ("ENCRYPTION_STAGED_KEYS", "ENCRYPTION_STAGED_KEY"),
        ("ENCRYPTION_KEY_FILES", "ENCRYPTION_KEY_FILE"),
        ("ROTATION_CONFIGS", "ROTATION_CONFIG"),
        ("ROTATION_LEDGER", "ROTATION_LEDGER_URL"),
        ("ENCRYPTION_RELOAD_SECS", "ENCRYPTION_RELOAD_SECONDS"),
        ("ENCRYPTION_STAGED", "ENCRYPTION_STAGED_KEY"),
        ("ENCRYPTION_SUSPENDED_KEY", SUSPENDED),
        ("ENCRYPTION_SUSPEND_KEYS", SUSPENDED),
        ("ENCRYPTION_SUSPENDED_KEY_FILE", f"{SUSPENDED}_FILE"),
        ("ENCRYPT_KEY", "ENCRYPTION_KEY"),
        ("ENCRIPTION_KEY", "ENCRYPTION_KEY"),
        ("ENCRYTPION_KEY_FILE", "ENCRYPTION_KEY_FILE"),
        ("ENCRPYTION_PREVIOUS_KEYS", "ENCRYPTION_PREVIOUS_KEYS"),
        ("ROATION_CONFIG", "ROTATION_CONFIG"),
        ("encryption_key", "ENCRYPTION_KEY"),
        ("ENCRYPTION_KEY_PREVIOUS", "ENCRYPTION_PREVIOUS_KEYS"),
        ("ENCRYPTION_OLD_KEYS", "ENCRYPTION_KEY"),
        ("ENCRYPTION_KEY_PATH", "ENCRYPTION_KEY"),
    ]

    for name, near in cases:
        with named(name):
            with pytest.warns(KeyConfigWarning) as caught:
                load_settings({"ENCRYPTION_KEY": PRIMARY, name: A})

            assert [str(warning.message) for warning in caught] == [
                f"{name} is not a variable of this project; did you mean {near}?"
            ]


OTHERS = [
    *("PATH", "HOME", "KEY", "SECRET_KEY", "_", "", "ENCRYPTION", "ENCRYPTION_"),
    *("ENCRYPTION_ALGORITHM", "ENCRYPTION_MODE", "ENCRYPTION_SALT", "ENCRYPTION_IV", "ENCRYPTION_SERVICE"),
    *("DECRYPTION_KEY", "APP_ENCRYPTION_KEY", "N8N_ENCRYPTION_KEY", "FERNET_KEY", "AIRFLOW__CORE__FERNET_KEY"),
    *("ENCRYPTED_KEY", "ENCODING_KEY", "ENCRYPT_MODE", "ROTATION_DAYS", "ROTATE_KEY", "NOTATION_CONFIG", "ROUTING_KEY"),
]


def test_other_names_are_left_alone():
    """C07: this project's own names, and clearly foreign ones, give no warning."""
    environ = dict.fromkeys([*OTHERS, "ROTATION_LEDGER_URL", "ROTATION_SERVICE", "ENCRYPTION_RELOAD_SECONDS"], "1")

    assert load_settings({**environ, "ENCRYPTION_KEY": PRIMARY}).primary == make_key("primary")


def test_every_variable_is_listed():
    """VARIABLES names all that the project reads: documents are held against it."""
    keys = [
        name + form
        for name in ("ENCRYPTION_KEY", LIST, "ENCRYPTION_STAGED_KEY", SUSPENDED)
        for form in ("", "_FILE", "_COMMAND")
    ]

    others = {"ENCRYPTION_ALLOW_WEAK_PREVIOUS", "ENCRYPTION_RELOAD_SECONDS"}
    rotation = {"ROTATION_CONFIG", "ROTATION_LEDGER_URL", "ROTATION_SERVICE"}

    assert {*keys} | others | rotation <= set(environment.VARIABLES)


def malformed(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Environments with a malformed, duplicate or foreign key, each with its name in words."""
    texts = {case.id: case.value for case in REFUSALS if isinstance(case.value, str | bytes)}
    texts |= {"sign alike": mistyped(PRIMARY), "two keys": f"{A}\n{B}", "JSON": f'["{A}"]', "semicolons": f"{A};{B}"}
    for name, value in texts.items():
        data = value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
        file = folder / f"{name}.keys"
        file.touch(0o600)
        file.write_bytes(data)
        for variable in ("ENCRYPTION_KEY", "ENCRYPTION_STAGED_KEY", LIST, SUSPENDED):
            others = {"ENCRYPTION_KEY": PRIMARY}
            yield f"{name} {variable}", others | {variable: value if isinstance(value, str) else data.decode("latin-1")}
            others = {"ENCRYPTION_KEY": PRIMARY} if variable != "ENCRYPTION_KEY" else {LIST: A}
            yield f"{name} {variable}_FILE", others | {f"{variable}_FILE": str(file)}
            yield f"{name} {variable}_COMMAND", others | {f"{variable}_COMMAND": f"cat {shlex.quote(str(file))}"}
    for name, more in (
        ("two forms", {"ENCRYPTION_KEY_FILE": PRIMARY}),
        ("a key in place of a file", {f"{LIST}_FILE": A}),
        ("a failing command", {f"{LIST}_COMMAND": f"sh -c 'echo {A}; echo {A} >&2; exit 1'"}),
        ("seconds", {"ENCRYPTION_RELOAD_SECONDS": A}),
        ("a misspelt name", {"ENCRYPTION_KEYS": A}),
    ):
        yield name, {"ENCRYPTION_KEY": PRIMARY, **more}


def error_of(call: Callable[..., object], *args: object) -> BaseException | None:
    """What *call* raises."""
    try:
        call(*args)
    except (KeyConfigError, KeyConfigWarning) as error:
        return error
    return None


@pytest.mark.filterwarnings("error::keyring_core.KeyConfigWarning")
def test_no_frame_of_an_error_shows_a_key(tmp_path, named, monkeypatch, long_form):
    """A tool that shows the locals of frames shows no key, in whatever way a process reads a malformed one."""
    ways = (load_settings, Keyring.from_env, config.load_keyring, lambda _: Reloader(config._load)())
    for turn, (name, environ) in enumerate(malformed(tmp_path)):
        with monkeypatch.context() as patched:
            for variable, value in environ.items():
                if "\0" not in value:
                    patched.setenv(variable, value)
            # A plain run takes one way after the other, and each way reads a command by the same code.
            one = turn % len(ways) if not name.endswith("_COMMAND") else 0
            is_all = long_form and not name.endswith("_COMMAND")
            for number, way in enumerate(ways if is_all else ways[one : one + 1]):
                with named(name, number):
                    error = error_of(way, environ)

                    assert error is None or not any(leaks(locals_in(error), key) for key in (KEY, PRIMARY, A, B))


def test_no_frame_of_a_keyring_s_error_shows_a_key(named):
    """Nor where the keys' texts are given: one by one, in a list, or as the secret that a key is made of."""
    ways = (
        Keyring,
        lambda value: Keyring(PRIMARY, value if isinstance(value, list) else [value]),
        lambda value: Keyring(A, staged=value),
        Key.parse,
        Key,
        lambda value: Derivation("raw").key(value if isinstance(value, bytes) else str(value)),
    )
    refused = [case.value for case in REFUSALS if isinstance(case.value, str | bytes)]
    for value in [*refused, mistyped(PRIMARY), [PRIMARY, mistyped(PRIMARY)], RAW[:31], KEY[:32]]:
        for number, way in enumerate(ways):
            with named(repr(value)[:30], number):
                error = error_of(way, value)

                assert error is None or not any(leaks(locals_in(error), key) for key in (KEY, PRIMARY, A))
