"""Key text in, 32 bytes out; or what is wrong with the text, and how to fix it.

Up to cryptography 50, stock Fernet drops every character outside the base64 alphabet, by the version of Python.
Here a text is a key or is refused, with the same result in every Python version.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import warnings
from collections.abc import Callable

from keyring_core.errors import (
    DERIVE_COMMAND,
    MAKE_KEY_COMMAND,
    KeyConfigError,
    KeyConfigWarning,
    WeakKeyError,
    WeakKeyWarning,
)

KEY_BYTES = 32
_EXPECTED = "expected 44 characters of URL-safe base64 (32 bytes)"
_FIX = "Fix the text: the key itself, and so every stored token, stays valid."
_MAKE = f"Make a key with: {MAKE_KEY_COMMAND}"
_MAKE_FIRST = (
    "If tokens are stored already, set the key that they are under (keyring-rotate also takes --env-file FILE). "
    f"Otherwise make a key with: {MAKE_KEY_COMMAND}"
)
_MAKE_OTHER = f"Only if nothing is stored under this key, make another: {MAKE_KEY_COMMAND}"

_BLANKS = " \t\r\n\v\f"
# str.splitlines would split at U+001C and U+2028 too.
_LINE_END = re.compile(r"\r\n|\r|\n")
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
# Long words only: a random key holds a given 7-letter word, in any case, once in 10^8 keys.
_PLACEHOLDER = re.compile(
    r"change(?:me|this)|replace(?:me|this|with)|placeholder|generateme|notasecret|your(?:encryption|fernet|secret)"
    r"|(?:your|test|dummy|sample|default|example|insert|secret|encryption|fernet)key"
)
_PLACEHOLDER_WITH_LESS = 20
_PLACEHOLDER_WITH_FEWER_DIGITS = 4
_TEMPLATE = re.compile(r"\$\{|\$\(|^\$\w|\{\{|^%\w+%$")
_IN_ANGLES = re.compile(r"<.*>", re.DOTALL)
_HEX = re.compile(r"[0-9A-Fa-f]{64}")
_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_UNPADDED = re.compile(r"[\w+/-]{43}", re.ASCII)
# SHA-256 of the 32 bytes of keys that anybody can read in documents or in the source of an application.
_PUBLIC_EXAMPLES = {
    "cbeb362f1fa69a6691db592f4529cf6bea1ce089eb132a3350c9081279ff8f34": "the Fernet specification's",
    "2eb224753db929a85e027907a504dcce95fe1b459f69fc78fb0f1192ed4aa979": "OctoBot's",
    "137f06f76afd37de0a14d4d382ed3269383cb8eeaca720730f3cc0d027619f08": "early SuperAGI's",
    "dc80f71bb27fdd062701b39c3d81640178cbe69757017078af0cdec058a6ef55": "Bisheng's",
    "ed89edb3883da201d76678900e1a6c1ef7f785c6492bcc30d5a4f990ddd0891e": "Read the Docs' sample settings'",
    "a52bba070dfe69fc3498dd1cd8d5aab6e71afaefbabee19ea47a5b2fe9076617": "Octavia's default",
    "73d737d1d65d46605835f32a6dc78bc050ef97d1bf7ec89d9824a540822b89f7": "Heat's default",
    "a7a94380814a8acdc56056cbf0c1152a592d28d145ccd174fccba36d9e869540": "cognee's default",
    "c1af3e210268b89b504555a4489290137ae12da8cc1ce1a981ec872fab6e87c8": "Redash's old default",
    "432e3a2c430aea0c0731c3da50bb15f255381546f99f50f9108eed6f3397eb9c": "Phoenix's without a secret",
    "e0d4da20b760fb43fb17f45fd2cdb6f2830a2d75d9c4faceb8bae55e4ca2bbef": "sqlalchemy-utils' documentation's",
    "d07119cf8b08ca1010544b4608b15fabd2932a73c79f00294afe73d4a4dba606": "Prowler's default",
    "42b4296229f23f14595762018db1eed2d50853b9ffbefaaff13d06ed76fba1a5": "Prowler's development default",
    "6b670cb567aab83581c6d383c85a6048c612d465bcdf6200e26bb46916c09e67": "AgentGPT's default",
    "423fb6766b6d54f8593817509d76d380e9b520367e849175d05be1f05885faf9": "OCA keychain, in its README",
    "3ddadf0f3cff9332086eb0cd100875bac26918c93b7aebbfd8b9572634b86304": "OCA keychain, for dev, in its README",
    "31d5b457547ca08efdd9ddaaed72f69ad7f652b4a187de115707a269762058f9": "OCA keychain, for prod, in its README",
    "987636f82033848a8367e476aab75644b6124b20261e079e4904415c315d5847": "Prowler's Helm example's",
    "02104d72b5d0e2fcb7332ed6d094022bc54bca20087f5e8a6efe1522d9c23737": "Crypt Server's default",
    "93aa4622ca4cf913e31e99581e46c43edf484a58628b8e388100f654b9be16d9": "Diffgram's default",
    "f67e48c1fafb61918cc31ad5b80a724fedc6bd2efcd0f3e026bc1ff6b51d30fd": "Airweave's tests'",
    "5069fdd1bba9894b0cd1004ea0f53408f1165894ac24d4180049d96680086e66": "Airweave's scripts'",
}
# 32 random bytes hold about 30 different values; 32 random hexadecimal digits, which are a secret too, hold 14.
_FEWEST_OF_KEY = 12
_FEWEST_OF_SECRET = 6

_FORM_FAULTS: tuple[tuple[Callable[[str], object], str], ...] = (
    (lambda text: "\0" in text, "NUL characters (a file in UTF-16?)"),
    (re.compile(r"""b(['"]).*\1""", re.DOTALL).fullmatch, "a Python bytes repr, b and quotes around the key"),
    (_TEMPLATE.search, "a template that was not expanded"),
    (_IN_ANGLES.fullmatch, "a placeholder in angle brackets"),
    (re.compile(r"[\"'`]").search, "quotes, which belong to the file's syntax and not to the key"),
    (re.compile(r"[\w+/-]{43}=(?:\s+[\w+/-]{43}=)+").fullmatch, "several keys, but one key is expected"),
    (re.compile(r"[,;]").search, "a comma or semicolon, but one key is expected"),
    (re.compile(r"[ \t\r\n\v\f]").search, "whitespace inside"),
    (_HEX.fullmatch, "64 hex digits (32 bytes in hex, not in base64)"),
    (re.compile(r"=[^=]").search, "characters after the padding, as of two keys glued together"),
    (re.compile(r"={3}").search, "too much padding"),
    (re.compile(r"[^A-Za-z0-9_=+/-]").search, "characters outside the base64 alphabet"),
)
"""The faults that a text can have, in the order in which they are tested."""


def decode_key(value: object, where: str, *, allow_weak: bool = False) -> bytes:
    """The 32 bytes that *value* spells. Ignores blanks around it; warns of the standard base64 alphabet.

    *where* names the variable or file, and the position in it, for the message.
    With *allow_weak*, a weak key, placeholder or public example gives a warning in place of an error.

    Raises KeyConfigError, whose message shows nothing of the value.
    """
    text = _to_text(value, where).strip(_BLANKS)
    if not text:
        raise KeyConfigError(f"{where}: empty, {_EXPECTED}. {_MAKE_FIRST}")
    fault = next((words for test, words in _FORM_FAULTS if test(text)), None) or _length_fault(text)
    if fault and _is_placeholder(text):
        raise KeyConfigError(f"{where}: a placeholder ({fault}), {_EXPECTED}. {_MAKE}")
    if fault:
        raise KeyConfigError(f"{where}: {fault}, {_EXPECTED}.\n{_FIX} {_MAKE_OTHER}{_way_to_derive(text, where)}")
    if "+" in text or "/" in text:
        warnings.warn(
            f"{where}: written in the standard base64 alphabet; write it URL-safe, - for + and _ for /. {_FIX}",
            KeyConfigWarning,
            stacklevel=2,
        )
    raw = base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_"))
    # A placeholder may have been encoded to make it fit.
    weak = "a placeholder" if _is_placeholder(text) or _is_placeholder(raw.decode("latin-1")) else None
    _refuse(_public(raw) or weak or _pattern(raw, _FEWEST_OF_KEY), where, allow_weak=allow_weak)
    return raw


def refuse_weak_secret(raw: bytes, secret: bytes, where: str, *, allow_weak: bool) -> None:
    """Raises WeakKeyError if anybody can guess *secret*, of which an application made the key *raw*.

    With *allow_weak* it warns in place of that. A secret that nobody has published is not searched for.
    """
    weakness = _public(raw) or (None if secret else "an empty secret")
    text = secret.decode("latin-1")
    more = len(re.sub(r"[^A-Za-z0-9]", "", text)) - len("changeme")
    is_short = more < _PLACEHOLDER_WITH_LESS or len(re.findall(r"\d", text)) < _PLACEHOLDER_WITH_FEWER_DIGITS
    # In a long secret a name such as `app-secret-key-` does no harm.
    if is_short and _is_placeholder(text):
        weakness = weakness or "a placeholder"
    _refuse(weakness or _pattern(raw, _FEWEST_OF_SECRET), where, allow_weak=allow_weak)


def split_key_list(value: str | bytes, where: str) -> list[tuple[str, str]]:
    """The items of a list of keys, each with its place in words. Commas and newlines separate items.

    Warns of an empty item, with its position. Raises KeyConfigError for another separator.
    """
    # Invalid characters stay in their items, so that `decode_key` reports their position.
    text = (value if isinstance(value, str) else value.decode("ascii", "surrogateescape")).strip(_BLANKS)
    if not text:
        return []
    if text.startswith("[") or ";" in text:
        found = "a JSON array" if text.startswith("[") else "semicolons"
        raise KeyConfigError(f"{where}: {found}; separate the keys by commas or newlines. {_FIX}")
    items = [line for item in text.split(",") for line in _LINE_END.split(item.strip(_BLANKS))]
    placed = [(item, f"{where}, key {position} of {len(items)}") for position, item in enumerate(items, 1)]
    for item, place in placed:
        if not item.strip(_BLANKS):
            warnings.warn(f"{place}: empty, ignored; remove the extra comma or line", KeyConfigWarning, stacklevel=2)
    return [(item, place) for item, place in placed if item.strip(_BLANKS)]


def _to_text(value: object, where: str) -> str:
    if value is None:
        raise KeyConfigError(f"{where}: not set. {_MAKE_FIRST}")
    if isinstance(value, bytes | bytearray | memoryview):
        raw = bytes(value)
        text = raw.decode("latin-1")
        found = "a BOM (byte order mark)" if raw.startswith(_BYTE_ORDER_MARKS) else "non-ASCII bytes"
    elif isinstance(value, str):
        text, found = value, "non-ASCII characters"
    else:
        raise KeyConfigError(f"{where}: a key is text, not {type(value).__name__}. {_MAKE}")
    if not text.isascii():
        raise KeyConfigError(f"{where}: {found}, {_EXPECTED}.\n{_FIX} {_MAKE_OTHER}{_way_to_derive(text, where)}")
    return text


def _length_fault(text: str) -> str | None:
    body = text.rstrip("=")
    if len(body) == 43:
        return {43: '43 characters (the padding "=" is missing)', 45: "too much padding"}.get(len(text))
    if len(text) % 4 or len(body) % 4 == 1:
        return f"{len(text)} characters"
    return f"{len(text)} characters ({len(body) * 6 // 8} bytes, not {KEY_BYTES})"


def _is_placeholder(text: str) -> bool:
    return bool(_PLACEHOLDER.search(re.sub(r"[^a-z]", "", text.lower())))


def may_be_secret(text: str | bytes) -> bool:
    """True if *text* is no key, and an application may make its key of it; False for a damaged key or a template."""
    plain = text if isinstance(text, str) else text.decode("latin-1")
    fault = any(test(plain) for test, _ in _FORM_FAULTS) or _length_fault(plain) or not plain.isascii()
    return bool(plain.strip() and fault and not _is_placeholder(plain) and _way_to_derive(plain, ""))


def _way_to_derive(text: str, where: str) -> str:
    """The line that says how to make a key of *text*; empty if it looks like a damaged key or a template."""
    if _HEX.fullmatch(text):
        return f"\nTo make a key of it: {DERIVE_COMMAND} hex"
    if _UNPADDED.fullmatch(text):
        return f"\nTo make a key of it: {DERIVE_COMMAND} raw-unpadded"
    if _UNPADDED.search(text) or _TEMPLATE.search(text) or _IN_ANGLES.fullmatch(text):
        return ""
    variable = f" --variable {where}" if _VARIABLE.fullmatch(where) else ""
    return f"\nIf an application makes its key of this text, a stored token shows how: {DERIVE_COMMAND} --try{variable}"


def _refuse(weakness: str | None, where: str, *, allow_weak: bool) -> None:
    """Raises WeakKeyError if there is a *weakness*; with *allow_weak* warns of it."""
    if weakness and not allow_weak:
        raise WeakKeyError(f"{where}: {weakness}, which anybody can guess. {_MAKE}")
    if weakness:
        message = f"{where}: {weakness}, accepted to read old tokens; rotate away from it today"
        warnings.warn(message, WeakKeyWarning, stacklevel=3)


def _public(raw: bytes) -> str | None:
    """The owner of these 32 bytes if they are a public example, in words, or None."""
    owner = _PUBLIC_EXAMPLES.get(hashlib.sha256(raw).hexdigest())
    return owner and f"a public example key ({owner})"


def _pattern(raw: bytes, fewest: int) -> str | None:
    """The pattern that these 32 bytes follow, in words, or None; they have to hold *fewest* different values."""
    text = base64.b64encode(raw)
    counts = len({(after - before) % 256 for before, after in itertools.pairwise(raw)}) == 1
    if counts or any(text[period:42] == text[: 42 - period] for period in range(1, 22)):
        return "a weak key: its bytes repeat or count, or its characters do"
    if raw[:16] == raw[16:]:
        return "a weak key: its signing half equals its encryption half"
    if len(set(raw)) < fewest:
        return "a weak key: few different bytes"
    return None
