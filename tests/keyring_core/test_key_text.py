"""Key text: what is a key, what is none, and what the message says."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
import warnings
from contextlib import nullcontext
from typing import NamedTuple

import cryptography_vectors
import pytest
from cryptography.fernet import Fernet
from hypothesis import given, settings
from hypothesis import strategies as st

from keyring_core import KeyConfigError, KeyConfigWarning
from keyring_core.errors import MAKE_KEY_COMMAND
from keyring_core.key_text import _PUBLIC_EXAMPLES, decode_key, split_key_list
from tests.keyring_core.test_errors import leaks, shown_by
from tests.keys import key_text

WHERE = "ENCRYPTION_KEY"
ALPHABET = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"

# A key whose text differs between the two alphabets.
KEY = next(text for text in (key_text(f"K{n}") for n in range(100)) if "-" in text and "_" in text)
RAW = base64.urlsafe_b64decode(KEY)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def spellings(key: str) -> list[str]:
    """The four texts of one key: its last character has two unused bits."""
    first = ALPHABET.index(key[42]) & ~3
    return [f"{key[:42]}{ALPHABET[first + unused]}=" for unused in range(4)]


def public_example() -> str:
    """The key of the Fernet specification."""
    with cryptography_vectors.open_vector_file("fernet/generate.json", "r") as file:
        return json.load(file)[0]["secret"]


SAME = "accepted as the same key"
SAME_WARNED = "accepted as the same key, with a warning"
OTHER = "accepted as another key"
REFUSED = "refused"


class Case(NamedTuple):
    id: str
    comment: str
    value: object
    verdict: str
    says: tuple[str, ...] = ()


KEY_CASES = [
    Case("K01", "valid, str", KEY, SAME),
    Case("K02", "valid, bytes", KEY.encode(), SAME),
    Case("K03", "blanks around it", f"  {KEY}\t ", SAME),
    Case("K04", "newline at the end", f"{KEY}\n", SAME),
    Case("K05", "CRLF at the end", f"{KEY}\r\n", SAME),
    Case("K06", "blank in the middle", f"{KEY[:20]} {KEY[20:]}", REFUSED, ("whitespace inside",)),
    Case("K07", "newline in the middle", f"{KEY[:20]}\n{KEY[20:]}", REFUSED, ("whitespace inside",)),
    Case("K08", "double quotes", f'"{KEY}"', REFUSED, ("quotes",)),
    Case("K09", "single quotes", f"'{KEY}'", REFUSED, ("quotes",)),
    Case("K10", "BOM, str", f"\ufeff{KEY}", REFUSED, ("non-ASCII",)),
    Case("K11", "BOM, bytes", b"\xef\xbb\xbf" + KEY.encode(), REFUSED, ("BOM",)),
    Case("K12", "standard alphabet", KEY.replace("-", "+").replace("_", "/"), SAME_WARNED, ("URL-safe",)),
    Case("K13", "31 bytes", encoded(RAW[:31]), REFUSED, ("31 bytes", "32")),
    Case("K14", "33 bytes", encoded(RAW + b"x"), REFUSED, ("33 bytes", "32")),
    Case("K15", "16 bytes", encoded(RAW[:16]), REFUSED, ("16 bytes", "32")),
    Case("K16", "padding missing", KEY[:43], REFUSED, ("padding", "43 characters", "44 characters")),
    Case("K17", "two padding characters", f"{KEY}=", REFUSED, ("too much padding",)),
    Case("K18", "three padding characters", f"{KEY}==", REFUSED, ("too much padding",)),
    Case("K19", "garbage after the padding", f"{KEY}xyz", REFUSED, ("after the padding",)),
    Case("K20", "two keys, comma", f"{KEY},{key_text('2')}", REFUSED, ("one key", "comma")),
    Case("K21", "two keys glued together", KEY + key_text("2"), REFUSED, ("after the padding", "glued")),
    Case("K22", "literal backslash and n at the end", f"{KEY}\\n", REFUSED, ("after the padding",)),
    Case("K23", "URL-encoded padding", f"{KEY[:43]}%3D", REFUSED, ("outside the base64 alphabet",)),
    Case("K24", "percent sign inserted", f"{KEY[:10]}%{KEY[10:]}", REFUSED, ("outside the base64 alphabet",)),
    Case("K25", "percent sign in place of a character", f"{KEY[:10]}%{KEY[11:]}", REFUSED, ("outside the base64",)),
    Case("K26", "typo", KEY[:20] + ("A" if KEY[20] != "A" else "B") + KEY[21:], OTHER),
    Case("K27", "unused bits of the last character", next(s for s in spellings(KEY) if s != KEY), SAME),
    Case("K28", "zeros", encoded(bytes(32)), REFUSED, ("weak",)),
    Case("K29", "one byte repeated", encoded(b"\xa7" * 32), REFUSED, ("weak",)),
    Case("K30", "signing half equals encryption half", encoded(RAW[:16] * 2), REFUSED, ("weak", "half")),
    Case("K31", "counting bytes", encoded(bytes(range(32))), REFUSED, ("weak",)),
    Case("K32", "placeholder", "changeme", REFUSED, ("placeholder", "8 characters", "44 characters")),
    Case("K33", "placeholder as long as a key", ("changeme-" * 5)[:42] + "0=", REFUSED, ("placeholder",)),
    Case("K34", "placeholder in angle brackets", "<base64-key-goes-in-here>", REFUSED, ("placeholder", "angle")),
    Case("K35", "unexpanded template", "${FERNET_SECRET}", REFUSED, ("not expanded",)),
    Case("K36", "public example", public_example(), REFUSED, ("public example",)),
    Case("K37", "empty", "", REFUSED, ("empty", MAKE_KEY_COMMAND)),
    Case("K38", "blanks only", " \t\r\n ", REFUSED, ("empty", MAKE_KEY_COMMAND)),
    Case("K39", "None", None, REFUSED, ("not set", MAKE_KEY_COMMAND)),
    Case("K40", "int", 1234567890, REFUSED, ("int",)),
    Case("K41", "bool", True, REFUSED, ("bool",)),
    Case("K42", "bytearray", bytearray(KEY.encode()), SAME),
    Case("K43", "memoryview", memoryview(KEY.encode()), SAME),
    Case("K44", "non-ASCII letter", f"{KEY[:10]}é{KEY[11:]}", REFUSED, ("non-ASCII",)),
    Case("K45", "full-width equals sign", f"{KEY[:43]}\uff1d", REFUSED, ("non-ASCII",)),
    Case("K46", "lone surrogate", f"{KEY[:10]}\udce9{KEY[11:]}", REFUSED, ("non-ASCII",)),
    Case("K47", "NUL at the end", f"{KEY}\0", REFUSED, ("NUL",)),
    Case("K48", "64 hex digits", RAW.hex(), REFUSED, ("hex",)),
    Case("K49", "32 raw bytes", RAW, REFUSED, ("non-ASCII bytes",)),
    Case("K50", "32 ASCII characters", "Tr0ub4dor-and-three-more-words-x", REFUSED, ("24 bytes", "32")),
    Case("K51", "base64 of base64", encoded(KEY.encode()), REFUSED, ("44 bytes", "32")),
    Case("K52", "bytes repr", repr(KEY.encode()), REFUSED, ("repr", "quotes")),
    Case("K53", "lower case", KEY.lower(), OTHER),
    Case("K54", "UTF-16", KEY.encode("utf-16"), REFUSED, ("BOM",)),
    Case("K55", "1 MB of A", "A" * 2**20, REFUSED, ("1048576 characters", "44 characters")),
    Case("K56", "zero-width space at the end", f"{KEY}\u200b", REFUSED, ("non-ASCII",)),
]
# Stock Fernet reads these, or did on an older Python: a service that starts with stock would not start here.
MENDABLE = [f"K{n:02}" for n in (6, 7, 8, 9, 11, *range(17, 25), 47, 54)]

REFUSALS = [case for case in KEY_CASES if case.verdict == REFUSED]


def test_the_table_is_complete():
    """K01 to K56 are all here, each once."""
    assert [f"K{n:02}" for n in range(1, 57)] == [case.id for case in KEY_CASES]
    assert set(MENDABLE) <= {case.id for case in REFUSALS}


def test_a_key_is_read(named):
    """A sound key is read whatever its spelling; only the last character's unused bits and outer blanks may vary."""
    for case in [case for case in KEY_CASES if case.verdict != REFUSED]:
        with named(case.id):
            expected = pytest.warns(KeyConfigWarning) if case.verdict == SAME_WARNED else nullcontext()

            with expected as caught:
                raw = decode_key(case.value, WHERE)

            assert len(raw) == 32
            assert (raw == RAW) is (case.verdict != OTHER)
            for warning in caught or ():
                assert all(words in str(warning.message) for words in (WHERE, "stays valid", *case.says))
                assert not leaks(str(warning.message), case.value, WHERE)


def test_what_is_no_key_is_refused(named):
    """The message names the place, what was found and what was expected; neither it nor its chain shows the value."""
    for case in REFUSALS:
        with named(case.id):
            with pytest.raises(KeyConfigError) as caught:
                decode_key(case.value, WHERE)

            assert str(caught.value).startswith(f"{WHERE}: ")
            assert all(words in str(caught.value) for words in case.says)
            assert not leaks(shown_by(caught.value), case.value, WHERE)
            assert not leaks(shown_by(caught.value), KEY, WHERE)
            assert caught.value.__context__ is None


def test_a_refusal_of_what_stock_reads_says_that_the_key_stays_valid(named):
    """The message says to fix the text: with a new key, all stored tokens would be lost."""
    words = "Fix the text: the key itself, and so every stored token, stays valid"

    for case in [case for case in REFUSALS if case.id in MENDABLE]:
        with named(case.id), pytest.raises(KeyConfigError, match=words):
            decode_key(case.value, WHERE)


def test_a_weak_key_is_read_if_that_is_asked_for(named):
    """allow_weak turns the refusal into a warning, so that what is stored can be rotated away from the key."""
    cases = [case for case in KEY_CASES if case.id in {"K28", "K29", "K30", "K31", "K33", "K36"}]

    for case in cases:
        with named(case.id):
            with pytest.warns(KeyConfigWarning, match=f"{WHERE}: .*rotate away") as caught:
                raw = decode_key(case.value, WHERE, allow_weak=True)

            assert base64.urlsafe_b64decode(case.value) == raw
            assert not leaks(str(caught[0].message), case.value, WHERE)


def test_allow_weak_does_not_soften_the_form():
    """A malformed text stays an error: what it would mean is a guess."""
    with pytest.raises(KeyConfigError, match="whitespace inside"):
        decode_key(f"{KEY[:20]} {KEY[20:]}", WHERE, allow_weak=True)


def test_a_placeholder_is_recognised_whatever_its_case_and_hyphens(named):
    """A sample file's text that decodes to 32 bytes is no key."""
    cases = [
        "YOUR_ENCRYPTION_KEY_GOES_HERE_0123456789abc=",
        "replace-me-before-you-go-to-production-1234=",
        "this-is-a-placeholder-do-not-use-it-00000000",
        "insert_key_here_insert_key_here_insert_key0=",
        "my-secret-key-my-secret-key-my-secret-key-0=",
        "your-fernet-key-your-fernet-key-your-fernet=",
        "a-test-key-of-44-characters-not-for-real-us=",
        "Change_this_to_a_key_of_your_own_0123456789=",
        encoded(b"please-change-me-in-production!!"),
    ]

    for text in cases:
        with named(text), pytest.raises(KeyConfigError, match="placeholder"):
            decode_key(text, WHERE)


@pytest.mark.parametrize("text", ["todo-", "0123456789", "none-of-your-business", "ab"])
def test_a_text_that_repeats_is_weak(text):
    """What somebody typed until it was long enough is no key, whatever bytes it decodes to."""
    with pytest.raises(KeyConfigError, match="weak"):
        decode_key((text * 43)[:43] + "=", WHERE)


@pytest.mark.parametrize("raw", [b"ab" * 16, bytes(range(8)) * 4, bytes(range(0, 64, 2)), b"\0" * 31 + b"\1"])
def test_a_key_without_randomness_is_weak(raw):
    """Patterns that a keyboard or a loop makes are not taken for random bytes."""
    with pytest.raises(KeyConfigError, match="weak"):
        decode_key(encoded(raw), WHERE)


def test_a_random_key_is_never_weak():
    """No derived key out of many is mistaken for a weak one."""
    for n in range(2000):
        assert decode_key(key_text(f"random {n}"), WHERE)


def test_the_verdict_on_every_insertion_of_one_byte():
    """One byte too many is refused at every place, but for a blank outside; stock drops most, up to cryptography 50."""
    key = KEY.encode()
    read = {
        (at, bytes([byte]))
        for at in range(len(key) + 1)
        for byte in range(256)
        if _reads(key[:at] + bytes([byte]) + key[at:])
    }

    assert {(at, bytes([blank])) for at in (0, 44) for blank in b" \t\r\n\v\f"} == read


def _reads(value: str | bytes) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        try:
            decode_key(value, WHERE, allow_weak=True)
        except KeyConfigError:
            return False
    return True


KEY_FORM = re.compile(r"[A-Za-z0-9_+/-]{43}=")
near_keys = st.one_of(
    st.text(),
    st.text(st.sampled_from(ALPHABET + "+/= \n,;\"'%\\\0é\udce9")),
    st.from_regex(KEY_FORM, fullmatch=True),
    st.builds(
        lambda at, cut, put: KEY[:at] + put + KEY[at + cut :],
        st.integers(0, 44),
        st.integers(0, 3),
        st.text(st.sampled_from(ALPHABET + "+/= \n,;\"'%\\\0é"), max_size=3),
    ),
)


@given(near_keys)
@settings(deadline=None, max_examples=300)
def test_the_verdict_equals_the_reference(text):
    """A text is a key if, without outer blanks, it is 43 base64 characters and one padding; otherwise it is refused."""
    assert bool(KEY_FORM.fullmatch(text.strip(" \t\r\n\v\f"))) is _reads(text)


@given(st.binary(min_size=32, max_size=32))
@settings(deadline=None)
def test_stock_reads_the_same_bytes(raw):
    """What we read, stock Fernet reads alike."""
    text = encoded(raw)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", KeyConfigWarning)
        ours = decode_key(text, WHERE, allow_weak=True)

    assert raw == ours
    assert Fernet(encoded(ours)).decrypt(Fernet(text).encrypt(b"x")) == b"x"


# Lists


def items(value: str | bytes) -> list[str]:
    return [text for text, _ in split_key_list(value, "KEYS")]


def test_a_list_parts_at_commas_and_line_ends(named):
    """Blanks around an item do not count, and a comma at a line's end is one separator."""
    for separator in (",", "\n", "\r\n", "\r", ",\n", " , ", "\n "):
        with named(separator):
            assert [item.strip() for item in items(separator.join(["one", "two", "three"]))] == ["one", "two", "three"]


def test_a_list_has_no_other_separators(named):
    """Another separator stays in its item, and the key's parser refuses it."""
    for separator in ("\x1c", "\x1e", "\x85", "\u2028", "|", ":", "\0"):
        with named(separator):
            text = f"{KEY}{separator}{key_text('2')}"

            assert [text] == items(text)
            assert not _reads(text)


def test_each_item_knows_its_place():
    """A message about an item can name its position and the number of items."""
    assert split_key_list("one,two", "KEYS") == [("one", "KEYS, key 1 of 2"), ("two", "KEYS, key 2 of 2")]


def test_a_bad_character_is_left_to_its_item():
    """One damaged key does not hide which of several it is."""
    (_, bad), (_, good) = split_key_list(b"\xffone,two", "KEYS"), split_key_list("é,two", "KEYS")

    assert ("two", "KEYS, key 2 of 2") == bad == good


def test_an_empty_item_is_named():
    """An extra separator warns with its position, and loses no key."""
    with pytest.warns(KeyConfigWarning, match="KEYS, key 2 of 3: empty"):
        assert items("one,,two") == ["one", "two"]


def test_public_examples_are_kept_as_digests():
    """Digests stand in the source, the specification's key's among them, so that no key text stands there."""
    digest = hashlib.sha256(base64.urlsafe_b64decode(public_example())).hexdigest()

    assert digest in _PUBLIC_EXAMPLES
    assert all(re.fullmatch(r"[0-9a-f]{64}", known) for known in _PUBLIC_EXAMPLES)


DERIVE = "keyring-rotate keys derive"


def test_a_refusal_ends_with_the_command_that_makes_a_key_of_it(named):
    """What an application takes for a secret is no key here; the message says how to get the key."""
    cases = {
        "K48": (RAW.hex(), f"make a key of it: {DERIVE} hex"),
        "hex in capitals": (RAW.hex().upper() + "\n", f"make a key of it: {DERIVE} hex"),
        "K16": (KEY[:43], f"make a key of it: {DERIVE} raw-unpadded"),
        "K50": ("Tr0ub4dor-and-three-more-words-x", f"a stored token shows how: {DERIVE} --try --variable {WHERE}"),
        "symbols": ("Tr0ub4dor and three, more; words", f"a stored token shows how: {DERIVE} --try --variable {WHERE}"),
        "passphrase": ("correct horse battery staple", f"a stored token shows how: {DERIVE} --try --variable {WHERE}"),
        "non-ASCII": ("korrekt Pferd ü", f"a stored token shows how: {DERIVE} --try --variable {WHERE}"),
        "non-ASCII bytes": ("korrekt Pferd ü".encode(), f"a stored token shows how: {DERIVE} --try --variable {WHERE}"),
        "long": ("#3=x" * 20, f"a stored token shows how: {DERIVE} --try --variable {WHERE}"),
    }

    for name, (value, ending) in cases.items():
        with named(name):
            with pytest.raises(KeyConfigError) as caught:
                decode_key(value, WHERE)

            assert str(caught.value).endswith(ending)

    with pytest.raises(KeyConfigError, match=r"shows how: keyring-rotate keys derive --try$"):
        decode_key("correct horse battery staple", "ENCRYPTION_PREVIOUS_KEYS, key 2 of 3")


def test_a_damaged_key_is_not_taken_for_a_secret(named):
    """A text that has to be fixed is not to be derived from: that would give another key."""
    cases = [f'"{KEY}"', f"{KEY}=", KEY + key_text("2"), "${SECRET}", "<base64 goes in here>", "changeme"]

    for value in cases:
        with named(value):
            with pytest.raises(KeyConfigError) as caught:
                decode_key(value, WHERE)

            assert DERIVE not in str(caught.value)
