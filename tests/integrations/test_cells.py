"""Cells of encrypted columns: values come back as they were, and nothing else is taken for a value."""

from __future__ import annotations

import base64
import contextlib
import copy
import enum
import json
import os
import pickle
import re
import subprocess
import sys
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor

import pytest
import structlog
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import LogCapture

from keyring_core import (
    AlreadyEncryptedError,
    DamagedToken,
    InvalidToken,
    Key,
    KeyConfigError,
    Keyring,
    MalformedToken,
    PlaintextError,
    SuspendedKey,
    UndecryptableToken,
    config,
)
from keyring_core.integrations import cells as module
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.key_reads import key_reads
from keyring_core.legacy import Legacy
from keyring_core.legacy.package_cells import LegacyPlaintext
from keyring_core.redaction import Secret
from keyring_core.reload import Reloader
from tests.fakes import token
from tests.keyring_core.test_bulk import damaged_token
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keys import key_text

SECRET = "sk-live-Tr0ub4dor-4242"
STOCK = Fernet(key_text("new"))
TOKEN = token("new", SECRET)
FOREIGN = token("foreign", SECRET)

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)


class Keys:
    """Stands for `get_keyring`: *ring*, and *newer* once a token did not open."""

    def __init__(self, ring: Keyring, newer: Keyring | None = None) -> None:
        self.ring, self.newer = ring, newer
        self.renewals = 0

    def __call__(self) -> Keyring:
        return self.ring

    def renew(self, _ring: Keyring) -> Keyring | None:
        self.renewals += 1
        return self.newer


class Package:
    """Stands for another package, which stores `old:` and the text."""

    words = "another package"

    def reader(self, secrets):
        return self

    def open(self, cell):
        data = cell.encode() if isinstance(cell, str) else cell
        if data == FOREIGN.encode():
            return LegacyPlaintext(SECRET.encode(), None)
        return LegacyPlaintext(data[4:], None) if data.startswith(b"old:") else None


@pytest.fixture(autouse=True, scope="module")
def process_keys():
    """The keys of this process: new is primary, old is previous."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "get_keyring", Keys(Keyring(key_text("new"), [key_text("old")])))
        yield


@pytest.fixture
def log(monkeypatch) -> LogCapture:
    captured = LogCapture()
    monkeypatch.setattr(module, "log", structlog.wrap_logger(None, processors=[captured]))
    return captured


def column(kind: ValueKind = ValueKind.TEXT, **options) -> Cells:
    """A column with a name, as a library declares it."""
    made = Cells(kind, **options)
    made.column = "users.api_key"
    return made


# Values come back as they were


@given(st.text(st.characters(codec="utf-8")))
def test_any_text_comes_back(text):
    """Every text with a UTF-8 form, the empty one too, and stock Fernet opens the cell."""
    cell = column().seal(text)

    assert column().open(cell) == text
    assert STOCK.decrypt(cell) == text.encode()


@given(st.binary())
def test_any_bytes_come_back(data):
    """Bytes stay bytes."""
    cell = column(ValueKind.BYTES).seal(data)

    assert column(ValueKind.BYTES).open(cell) == data
    assert STOCK.decrypt(cell) == data


@given(json_values)
def test_any_json_value_comes_back_or_is_refused(value):
    """A value of JSON's own types comes back equal and of its type; two lone surrogates that JSON joins are refused."""
    try:
        cell = column(ValueKind.JSON).seal(value)
    except TypeError:
        assert re.search(r"\\ud[89ab]..\\ud[c-f]", json.dumps(value))
        return

    assert repr(column(ValueKind.JSON).open(cell)) == repr(value)
    assert repr(json.loads(STOCK.decrypt(cell))) == repr(value)


def test_small_json_values_keep_their_types(named):
    """What is false is not lost, and a number does not become text."""
    cases = [None, False, True, 0, 1, 0.0, -0.0, 1e300, "", [], {}, 10**4000, "\ud800"]

    for value in cases:
        with named(value):
            assert repr(column(ValueKind.JSON).open(column(ValueKind.JSON).seal(value))) == repr(value)


def nested(levels: int) -> list:
    """Lists in lists."""
    value: list = []
    for _ in range(levels):
        value = [value]
    return value


class Colour(enum.StrEnum):
    RED = "red"


def test_a_value_that_json_would_change_is_refused(named):
    """Otherwise an application reads something else than it wrote, or nothing at all."""
    cases = [
        float("nan"),
        [float("inf")],
        {1: SECRET},
        {True: SECRET},
        {None: SECRET},
        {1: "a", "1": SECRET},
        (SECRET, 1),
        {"a": [(SECRET,)]},
        10**5000,
        nested(10_000),
        b"bytes",
        {SECRET},
        object(),
        Secret(SECRET * 2).reveal,
        {"a": Secret(SECRET)},
        "\ud83d" + "\ude00",
    ]

    for value in cases:
        with named(type(value)):
            with pytest.raises(TypeError, match=r"users.api_key: JSON") as caught:
                column(ValueKind.JSON).seal(value)

            assert not leaks(shown_by(caught.value), SECRET)


def test_a_value_that_holds_itself_is_refused():
    """A circle has no JSON form."""
    value: list = [SECRET]
    value.append(value)

    with pytest.raises(TypeError, match="no form"):
        column(ValueKind.JSON).seal(value)


@pytest.mark.parametrize(
    ("kind", "value", "back"),
    [
        (ValueKind.TEXT, Colour.RED, "red"),
        (ValueKind.TEXT, Secret(SECRET), SECRET),
        (ValueKind.JSON, Secret(SECRET), SECRET),
        (ValueKind.JSON, {"colour": Colour.RED}, {"colour": "red"}),
        (ValueKind.JSON, OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (ValueKind.BYTES, bytearray(b"\0\xff"), b"\0\xff"),
        (ValueKind.BYTES, memoryview(b"abcdef")[::2], b"ace"),
    ],
)
def test_what_equals_a_value_is_taken_for_it(kind, value, back):
    """A member of a StrEnum, a Secret or a view comes back as the plain value."""
    opened = column(kind).open(column(kind).seal(value))

    assert opened == back
    assert type(opened) is type(back)


def test_another_type_is_refused(named):
    """No str() of it is stored; the message names the column and the type alone."""
    cases = [
        *((ValueKind.TEXT, value) for value in (None, True, 4242, SECRET.encode(), [SECRET])),
        *((ValueKind.BYTES, value) for value in (None, 4242, SECRET, Secret(SECRET))),
    ]

    for kind, value in cases:
        with named(kind, value):
            with pytest.raises(TypeError, match=r"users\.api_key: takes .*, not ") as caught:
                column(kind).seal(value)

            assert not leaks(shown_by(caught.value), SECRET)


def test_a_lone_surrogate_is_refused_without_showing_the_text():
    """The error, and all that is reachable from it, holds no piece of the text."""
    text = SECRET + "\ud800"

    with pytest.raises(PlaintextError, match=r"users\.api_key") as caught:
        column().seal(text)

    assert not leaks(shown_by(caught.value), text)


@pytest.mark.parametrize("kind", ValueKind)
@pytest.mark.parametrize("shape", ["{}", " {}\n"])
def test_a_token_is_not_encrypted_again(kind, shape):
    """Whatever key it is under: otherwise the application would read a token in place of its value."""
    text = shape.format(FOREIGN)

    with pytest.raises(AlreadyEncryptedError, match=r"users\.api_key") as caught:
        column(kind).seal(text.encode() if kind is ValueKind.BYTES else text)

    assert not leaks(shown_by(caught.value), FOREIGN)


def test_a_token_inside_a_json_value_is_a_value():
    """Only a value that is a token as a whole was encrypted already."""
    value = {"token": FOREIGN}

    assert column(ValueKind.JSON).open(column(ValueKind.JSON).seal(value)) == value


# Cells that do not open


@pytest.mark.parametrize(
    "wrap", [str, str.encode, lambda text: bytearray(text.encode()), lambda t: memoryview(t.encode())]
)
@pytest.mark.parametrize("cell", [TOKEN, f"{TOKEN}  \n"], ids=["bare", "with blanks"])
def test_a_cell_has_the_type_that_a_driver_gives(wrap, cell):
    """Text, bytes or a view, with the blanks of a CHAR column."""
    assert column().open(wrap(cell)) == SECRET
    assert column().open_many([wrap(cell), cell]) == [SECRET, SECRET]


@pytest.mark.parametrize(
    ("cell", "error"),
    [
        (SECRET, MalformedToken),
        (TOKEN[:-4], MalformedToken),
        (FOREIGN, UndecryptableToken),
        (damaged_token("new"), DamagedToken),
    ],
    ids=["plaintext", "cut", "unknown key", "damaged"],
)
def test_a_cell_that_does_not_open_raises(cell, error):
    """Never the cell itself, an empty text or None; the column is named, and no piece of the cell is shown."""
    with pytest.raises(error, match=r"^users\.api_key: .*keyring-rotate status") as caught:
        column().open(cell)
    [found] = column().open_many([cell])

    assert type(caught.value) is type(found) is error
    assert not leaks(shown_by(caught.value), cell)
    assert not leaks(shown_by(found), cell)
    assert str(column().placed(found, "id=812")).startswith("users.api_key, id=812: ")


def test_an_empty_cell_is_an_empty_value():
    """Nothing was encrypted, as for the encryption service; JSON has no empty value, and so that raises."""
    assert (column().open(""), column(ValueKind.BYTES).open(b"")) == ("", b"")
    with pytest.raises(MalformedToken):
        column(ValueKind.JSON).open("")


def test_a_wrong_secret_of_another_package_is_named():
    """Who reads the error sees which variable to look at, and not its value."""
    taking = column(legacy=Legacy("advanced-alchemy", secret="$OLD"), secrets=lambda: {"OLD": "not the right secret"})

    with pytest.raises(UndecryptableToken, match=r"nor is it a cell of advanced-alchemy, secret \$OLD") as caught:
        taking.open(FOREIGN)

    assert not leaks(shown_by(caught.value), "not the right secret")


def test_plaintext_is_not_accepted_beside_ciphertext_that_is_no_token():
    """Under a wrong secret one could not be known from the other."""
    with pytest.raises(KeyConfigError, match="take its cells over first"):
        column(accept_plaintext=True, legacy=Legacy("django-cryptography", secret="$OLD"))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (ValueKind.TEXT, SECRET.encode() + b"\xff"),
        (ValueKind.JSON, SECRET.encode() + b"\xff"),
        (ValueKind.JSON, SECRET.encode()),
        (ValueKind.JSON, b"[" * 100_000),
    ],
    ids=["no text", "no UTF-8", "no JSON", "deep"],
)
def test_content_of_another_kind_is_an_error_without_it(kind, content):
    """A column whose cells hold another kind says so, and shows no piece of what they hold."""
    cell = STOCK.encrypt(content).decode()

    with pytest.raises(PlaintextError, match=r"users\.api_key: the cell opens, but") as caught:
        column(kind).open(cell)
    found = column(kind).open_many([cell, STOCK.encrypt(b'"fine"').decode()])

    assert not leaks(shown_by(caught.value), content.decode("latin-1"))
    assert type(found[0]) is PlaintextError
    assert not isinstance(found[1], Exception)


def test_one_bad_cell_affects_no_other():
    """Each cell has its own value or error, in order; none at all is no error."""
    found = column().open_many([TOKEN, SECRET, FOREIGN, token("old", "older")])

    assert [type(each) for each in found] == [str, MalformedToken, UndecryptableToken, str]
    assert (found[0], found[3]) == (SECRET, "older")
    assert column().open_many([]) == []


# Keys that change


@pytest.mark.parametrize("options", [{}, {"context": True}])
def test_a_token_of_a_newer_key_opens(monkeypatch, options):
    """Another process may write under a key that this one has not read yet."""
    newest = Keyring(key_text("newest"), [key_text("new")])
    cell = (newest.bind("users.api_key") if options else newest).encrypt(SECRET)
    monkeypatch.setattr(module, "get_keyring", Keys(Keyring(key_text("new")), newest))

    assert column(**options).open(cell) == SECRET
    assert column(**options).open_many([cell, cell]) == [SECRET, SECRET]


@pytest.mark.parametrize(
    "cell", [SECRET, damaged_token("new"), TOKEN, FOREIGN], ids=["text", "damaged", "token", "legacy"]
)
def test_only_a_token_of_an_unknown_key_asks_for_a_newer_one(monkeypatch, cell):
    """Reading the keys may run a command; what no key opens, or another package wrote, causes none."""
    keys = Keys(Keyring(key_text("new")))
    monkeypatch.setattr(module, "get_keyring", keys)

    column(legacy=Package()).open_many([cell])
    with contextlib.suppress(InvalidToken):
        column(legacy=Package()).open(cell)

    assert keys.renewals == 0


def test_a_batch_that_is_read_again_counts_each_cell_once(monkeypatch):
    """With the newer keyring only what the older one did not open is read."""
    known, new, newest = (Key.generate() for _ in range(3))
    cells = [Keyring(key).encrypt(SECRET) for key in (known, newest, known)]
    monkeypatch.setattr(module, "get_keyring", Keys(Keyring(new, [known]), Keyring(newest, [new, known])))

    assert column().open_many(cells) == [SECRET] * 3
    assert (key_reads()[known.id].opened, key_reads()[newest.id].opened) == (2, 1)


@pytest.mark.parametrize(
    ("options", "context"),
    [
        ({}, None),
        ({"context": True}, "users.api_key"),
        ({"context": True, "accept_unbound": True}, "users.api_key"),
        ({"context": True, "accept_unbound": True}, None),
    ],
    ids=["unbound", "bound", "bound, while a column moves", "unbound, while a column moves"],
)
def test_a_suspended_key_refuses_a_column_by_its_name(monkeypatch, options, context):
    """The error names the row, the key and the remedy, and counts once; a resumed key is asked for at once."""
    old, new = Key.generate(), Key.generate()
    cell = (Keyring(old).bind(context) if context else Keyring(old)).encrypt(SECRET)
    keys = Keys(Keyring(new, suspended=[old]))
    monkeypatch.setattr(module, "get_keyring", keys)

    words = f"key {old.id}, which this token is under, is suspended; `keyring-rotate keys resume {old.id}` ends that"
    taking = column(legacy=Package(), **options)
    assert taking.open(f"old:{SECRET}") == SECRET
    for place, row in (("users.api_key, id=812", "id=812"), ("users.api_key", "")):
        with pytest.raises(SuspendedKey) as caught:
            taking.open(cell, lambda row=row: row)
        assert str(caught.value) == f"{place}: {words}"
    assert [type(each) for each in taking.open_many([cell, cell])] == [SuspendedKey] * 2
    assert key_reads()[old.id][::2] == (0, 4)
    keys.newer = Keyring(new, [old])

    assert taking.open(cell) == SECRET


@pytest.mark.parametrize("options", [{}, {"context": True}], ids=["unbound", "bound"])
def test_a_key_that_another_package_has_too_is_counted_and_refused(monkeypatch, options):
    """A bound column reads such a cell as the package does; it is a read with the keyring's key all the same."""
    old, new = Key.generate(), Key.generate()
    cell = Keyring(old).encrypt(SECRET)
    legacy = {
        "legacy": Legacy("django-encrypted-model-fields", secret="$OLD"),
        "secrets": lambda: {"OLD": old.reveal()},
    }
    monkeypatch.setattr(module, "get_keyring", Keys(Keyring(new, [old])))

    assert column(**options, **legacy).open(cell) == SECRET
    monkeypatch.setattr(module, "get_keyring", Keys(Keyring(new, suspended=[old])))
    with pytest.raises(SuspendedKey):
        column(**options, **legacy).open(cell)

    assert key_reads()[old.id][::2] == (1, 1)


def test_a_key_that_another_package_has_alone_is_read_as_before(monkeypatch):
    """It is under no state here, and nothing is counted for it."""
    foreign = Key.generate()
    taking = column(
        context=True,
        legacy=Legacy("django-encrypted-model-fields", secret="$OLD"),
        secrets=lambda: {"OLD": foreign.reveal()},
    )
    monkeypatch.setattr(module, "get_keyring", Keys(Keyring(Key.generate())))

    assert taking.open(Keyring(foreign).encrypt(SECRET)) == SECRET
    assert key_reads()[foreign.id].opened == 0


def test_a_missing_key_is_a_configuration_error(monkeypatch):
    """No value is stored in the clear because a key is missing."""
    monkeypatch.setattr(os, "environ", {})
    monkeypatch.setattr(module, "get_keyring", Reloader(config._load))

    for action in (lambda: column().seal(SECRET), lambda: column().open(TOKEN), lambda: column().open_many([TOKEN])):
        with pytest.raises(KeyConfigError, match="ENCRYPTION_KEY"):
            action()


def test_threads_bind_each_their_own_keyring(monkeypatch):
    """While keys are swapped, each cell is under the keyring that its thread was given."""
    rings = [Keyring(key_text(f"thread {number}")) for number in range(4)]
    shared = column(context=True)

    def work(number: int) -> bool:
        ring = rings[number % 4]
        bound = shared.bound(ring)
        return bound.primary.id == ring.primary.id and bound.context == "users.api_key"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(4000)))


# Contexts


def test_a_context_keeps_columns_apart():
    """A cell that was copied into another column does not open there, nor without a context."""
    cell = column(context=True).seal(SECRET)

    assert column(context="users.api_key").open(cell) == SECRET
    for other in (column(), column(context="users.token")):
        with pytest.raises(UndecryptableToken):
            other.open(cell)


def test_a_column_that_gets_another_name_gets_another_context():
    """A type that two columns share does not write cells of one under the context of the other."""
    shared = column(context=True)
    first = shared.seal(SECRET)
    shared.column = "users.token"
    second = shared.seal(SECRET)

    assert column(context="users.api_key").open(first) == SECRET
    assert column(context="users.token").open(second) == SECRET


def test_a_context_without_a_name_is_refused():
    """An empty name is not "no context", and True needs a column; neither writes a cell."""
    with pytest.raises(KeyConfigError, match="context"):
        Cells(ValueKind.TEXT, context="")
    with pytest.raises(KeyConfigError, match="context"):
        Cells(ValueKind.TEXT, context=True).seal(SECRET)


def test_unbound_cells_are_read_while_a_column_moves():
    """With accept_unbound, cells of before open; new ones are bound."""
    moving = column(context=True, accept_unbound=True)

    assert moving.open(TOKEN) == SECRET
    assert column(context=True).open(moving.seal(SECRET)) == SECRET
    with pytest.raises(UndecryptableToken):
        column(context=True).open(TOKEN)


def test_a_token_that_opens_only_without_a_context_says_what_to_add(named):
    """The message about a token that no key opens says if a context is missing, or one too much."""
    add = "it opens without a context: add accept_unbound=True until a run has bound it"
    bound = column(context=True).seal(SECRET)
    cases = {
        "unbound": (column(context=True), TOKEN, add),
        "bound": (column(), bound, "or it is bound to a `context`"),
        "another context": (column(context="users.token"), bound, "bound to 'users.token')"),
        "an unknown key": (column(context=True), FOREIGN, "bound to 'users.api_key')"),
        "both read": (column(context=True, accept_unbound=True), FOREIGN, "bound to 'users.api_key')"),
    }

    for name, (reader, cell, words) in cases.items():
        with named(name):
            with pytest.raises(UndecryptableToken) as alone:
                reader.open(cell, lambda: "id=1")
            many = reader.placed(reader.open_many([cell, cell])[0], "id=1")

            assert words in str(alone.value)
            assert str(many) == str(alone.value)
            assert (add in str(many)) == (words == add)
            assert SECRET not in str(many)


# Columns that are taken over


PLAIN = {
    "a password": SECRET,
    "base64": base64.b64encode(bytes(range(90))).decode(),
    "URL": "postgres://user:pass@host/db?x=%41%41",
    "JSON": '{"a": [1, 2, "AAAA"]}',
    "a song": "Long AAAA list",
    "hex": bytes(range(80)).hex(),
    "umlauts": "grüße",
    "large": "large " * 300_000,
}


def test_plaintext_is_read_only_if_the_column_takes_it(log, named):
    """While a column is taken over its plaintext opens, with one warning for the column that shows no value."""
    for name, text in PLAIN.items():
        for wrap in (str, str.encode, lambda text: memoryview(text.encode())):
            with named(name, type(wrap(text))):
                log.entries.clear()
                taking = column(accept_plaintext=True)

                assert taking.open(wrap(text)) == text
                assert taking.open_many([wrap(text), TOKEN]) == [text, SECRET]
                assert log.entries == [
                    {"event": "credential.stored_as_plaintext", "log_level": "warning", "column": "users.api_key"}
                ]
                with pytest.raises(MalformedToken):
                    column().open(wrap(text))


RAW = base64.urlsafe_b64decode(FOREIGN)
NOT_PLAIN: dict[str, str | bytes] = {
    "token": FOREIGN,
    "cut": FOREIGN[:-5],
    "cut short": FOREIGN[:12],
    "quoted": f'"{FOREIGN}"',
    "single quotes": f"'{FOREIGN}'",
    "bytes repr": str(FOREIGN.encode()),
    "glued": FOREIGN + FOREIGN,
    "prefix": f"fernet:{FOREIGN}",
    "in JSON": json.dumps({"key": FOREIGN}),
    "in a URL": f"postgres://user:{FOREIGN}@host/",
    "base64": base64.b64encode(FOREIGN.encode()).decode(),
    "base64, one before": base64.b64encode(b"x" + FOREIGN.encode()).decode(),
    "base64, two before": base64.b64encode(b"xy" + FOREIGN.encode()).decode(),
    "base32": base64.b32encode(FOREIGN.encode()).decode(),
    "hex": FOREIGN.encode().hex(),
    "HEX": FOREIGN.encode().hex().upper(),
    "bytea": "\\x" + FOREIGN.encode().hex(),
    "hex of its bytes": RAW.hex(),
    "its bytes": RAW,
    "its bytes, cut": RAW[:50],
    "UTF-16": FOREIGN.encode("utf-16"),
    "UTF-32": FOREIGN.encode("utf-32-be"),
    "among other characters": f"schlüssel {FOREIGN}",
    "unpadded": FOREIGN.rstrip("="),
}


def test_a_token_in_whatever_form_is_never_plaintext(named):
    """Otherwise an application would send a token in place of its password."""
    for name, cell in NOT_PLAIN.items():
        for kind in ValueKind:
            with named(name, kind):
                taking = column(kind, accept_plaintext=True)

                with pytest.raises(InvalidToken) as caught:
                    taking.open(cell)
                [found] = taking.open_many([cell])

                assert isinstance(found, InvalidToken)
                assert not leaks(shown_by(caught.value), cell)


def test_plaintext_of_another_kind_is_an_error():
    """Plaintext of a JSON column has to be JSON."""
    taking = column(ValueKind.JSON, accept_plaintext=True)

    assert taking.open('{"a": 1}') == {"a": 1}
    with pytest.raises(PlaintextError, match="not JSON"):
        taking.open(SECRET)


@pytest.mark.parametrize(
    "wrap", [str, str.encode, lambda text: memoryview(text.encode())], ids=["str", "bytes", "view"]
)
def test_cells_of_another_package_are_read(wrap):
    """The keyring is asked first, then the other package; what neither opens is the keyring's error."""
    taking = column(legacy=Package())

    assert taking.open(wrap(f"old:{SECRET}")) == SECRET
    assert taking.open_many([wrap(f"old:{SECRET}"), TOKEN, FOREIGN]) == [SECRET] * 3
    with pytest.raises(MalformedToken):
        taking.open(SECRET)


# What a column holds


@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, lambda cells: pickle.loads(pickle.dumps(cells))])
def test_a_column_is_copied_without_its_keys(travel):
    """Libraries copy and pickle columns: the copy has the options, and no keyring."""
    used = column(ValueKind.JSON, context=True, accept_unbound=True)
    cell = used.seal({"a": 1})

    arrived = travel(used)

    assert not any(isinstance(value, tuple | Keyring) for value in vars(arrived).values())
    assert repr(arrived) == repr(used)
    assert arrived.open(cell) == {"a": 1}


def test_the_repr_shows_the_options():
    """And neither a key nor anything of the environment."""
    assert repr(Cells(ValueKind.TEXT)) == "<Cells text>"
    assert repr(column(ValueKind.BYTES, context=True)) == "<Cells bytes of users.api_key context=True>"


def test_declaring_a_column_needs_no_key():
    """A process without any variable can import and declare; so can a tool that writes migrations."""
    program = (
        "from keyring_core.integrations.cells import Cells, ValueKind\n"
        "cells = Cells(ValueKind.TEXT, context='users.api_key')\n"
        "assert cells.plaintext_of('text') == b'text'\n"
    )

    subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": os.pathsep.join(sys.path)}, check=True)
