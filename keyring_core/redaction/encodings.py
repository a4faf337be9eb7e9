"""The ways one secret can be printed: JSON, repr, URL, HTML, shell, base64, hex, and a key's bytes and halves.

Forms and texts are compared folded: in lower case, without backslashes and blanks. So letter case needs no forms, and
neither do JSON inside JSON, a repr inside JSON, and so on: they differ in the number of backslashes only.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring, encode_basestring_ascii
from unicodedata import normalize

from keyring_core.redaction.folding import as_text, fold
from keyring_core.redaction.ordinary import class_changes
from keyring_core.redaction.patterns import compiled
from keyring_core.redaction.registrable import unfit

# A run this long of a random-looking value is masked even without the rest of the value.
SHORTEST_PIECE = 10
# Cut at every 76th character by MIME encoders and at 80 by structlog's frame locals: half of that must suffice.
LONGEST_FLOOR = 32
# Fewer characters of base64 than this can stand in honest text.
SHORTEST_CUT = 16
SHORTEST_LINE = 10

_FERNET_KEY = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
_ATOM = re.compile(r"[A-Za-z0-9+/_=-]+")
# What stands between the runs of a drawn password with symbols; symbols that hosts, dates and names hold make none.
_WRITTEN = r"\s+|[^\x00-\x7f]+|(?<![A-Za-z0-9])(?:[A-Za-z][a-z]{4,}|[A-Z]{5,})(?![A-Za-z0-9])"
_ODD = re.compile(r"[^\w\s.:/@,;=+-]")
_NO_LETTERS_OR_DIGITS = r"[^A-Za-z0-9]+"
# The symbols of a document are not drawn.
_DOCUMENT = r"://|[\"']:"
# A host stands in honest text, a port is no password, and an "@" that should have been encoded is part of one.
_URL = (
    r"[A-Za-z][\w+.-]*://(?:[^\s/@:]*(?::(?!\d{1,5}(?:[^\w@]|$))(?P<password>\S(?:[\S ]{0,254}\S)?))?@)?"
    r"(?P<host>[^\s/?#@]+)\S*"
)


class Form:
    """One spelling of a secret, folded, and the shortest run of it that has to be masked."""

    __slots__ = ("floor", "label", "text")

    def __init__(self, text: str, label: str, floor: int | None = None) -> None:
        self.text = fold(text)
        self.label = label
        self.floor = min(len(self.text), floor or len(self.text))

    def __repr__(self) -> str:
        return f"<Form of {self.label}>"

    @property
    def windows(self) -> int:
        """How many runs of *floor* bytes it has."""
        return len(self.text) - self.floor + 1


def forms_of(value: str | bytes, label: str, *, inner: bool = False) -> list[Form]:
    """Every form of *value* that the matcher has to know; of a URL also those of its password, unless it is *inner*."""
    text = as_text(value)
    whole: dict[str, None] = {}
    if _is_clean(text):
        for variant in _unicode_variants(text):
            whole.update(dict.fromkeys(_escapes(variant)))
            if "\n" in variant:
                whole.update(dict.fromkeys(_lines(variant)))
    whole.update(dict.fromkeys(_byte_spellings(_utf8(text))))
    forms = _distinct(whole, label)
    forms += [_cuttable(run, label) for run in _base64_runs(_utf8(text))]
    url = compiled(_URL).fullmatch(text)
    drawn = text if url is None else f"{text[: url.start('host')]} {text[url.end('host') :]}"
    forms += [Form(piece, label, SHORTEST_PIECE) for piece in dict.fromkeys((*_atoms(drawn), *_odd_runs(drawn)))]
    if url is not None and url["password"] and not inner:
        for password in _passwords(url["password"]):
            # One level: URLs in URLs, encoded over and over, would be more forms than there is time for.
            forms += forms_of(password, label, inner=True)
    if _FERNET_KEY.fullmatch(text):
        forms += forms_of_key(base64.b64decode(text[:43].replace("-", "+").replace("_", "/") + "="), label)
    return forms


def forms_of_key(raw: bytes, label: str) -> list[Form]:
    """Every form of a 32-byte Fernet key: its text in both alphabets, its bytes, its two halves."""
    text = base64.urlsafe_b64encode(raw).decode()
    standard = text.replace("-", "+").replace("_", "/")
    # A run of SHORTEST_PIECE covers the text without padding, the signing half, and a key cut by a narrow column.
    forms = [Form(text, label, SHORTEST_PIECE)]
    forms += [_cuttable(run, label) for run in _base64_runs(text.encode())]
    whole: dict[str, None] = {}
    if standard != text:
        forms.append(Form(standard, label, SHORTEST_PIECE))
        whole.update(dict.fromkeys(_base64_runs(standard.encode())))
    whole.update(dict.fromkeys(_base64_runs(raw)))
    whole.update(dict.fromkeys(_byte_spellings(text.encode())))
    number = int.from_bytes(raw, "big")
    whole[str(number)] = whole[f"{number:x}"] = None  # without the zeros that its bytes may begin with
    for part in (raw, raw[:16], raw[16:]):
        whole.update(dict.fromkeys(_byte_spellings(part)))
    whole.update(dict.fromkeys(_base64_runs(raw[16:])))
    # The number that a key of zeros is stands in every text.
    return forms + [form for form in _distinct(whole, label) if len(form.text) >= SHORTEST_PIECE]


def _cuttable(run: str, label: str) -> Form:
    """A form of a base64 *run* that may be cut at the end of a line: either half of it is masked all the same."""
    return Form(run, label, min(LONGEST_FLOOR, max(SHORTEST_CUT, len(run) // 2)))


def _distinct(spellings: Iterable[str], label: str) -> list[Form]:
    """One form for all *spellings* that fold to the same text."""
    return list({form.text: form for form in (Form(spelling, label) for spelling in spellings)}.values())


def trimmed(value: str | bytes) -> str | bytes:
    """*value* without the blanks and newlines that files and secret stores put around text."""
    text = as_text(value)
    return text.strip() if _is_clean(text) else value


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_clean(text: str) -> bool:
    """Whether *text* was text: bytes that are no UTF-8 have only byte spellings."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


def _atoms(text: str) -> Iterator[str]:
    """The runs of letters and digits that look drawn, not written: a piece of a written name masks honest text."""
    for atom in _ATOM.findall(text):
        if len(atom) >= SHORTEST_PIECE and class_changes(atom) * 6 >= len(atom):
            yield atom


def _odd_runs(text: str) -> Iterator[str]:
    """The runs with symbols that look drawn, as a password generator's do."""
    if not _ODD.search(text) or compiled(_DOCUMENT).search(text):
        return
    for run in compiled(_WRITTEN).split(text):
        letters = compiled(_NO_LETTERS_OR_DIGITS).sub("", run)
        drawn = len(run) / 3 <= len(letters) <= 4 * class_changes(letters)
        if drawn and len(run) >= SHORTEST_PIECE and _ODD.search(run):
            yield run


def _passwords(encoded: str) -> Iterator[str]:
    """The password of a URL as it stands there, and as a program has it; unless its text is too common to mask."""
    from urllib.parse import unquote  # noqa: PLC0415 - as in _urls

    for password in dict.fromkeys((encoded, unquote(encoded))):
        if unfit(password) is None:
            yield password


def _unicode_variants(text: str) -> set[str]:
    if text.isascii():
        return {text}
    cased = {text, text.lower(), text.upper(), text.casefold(), text.capitalize()}
    return cased | {normalize(kind, variant) for variant in cased for kind in ("NFC", "NFD", "NFKC", "NFKD")}


def _escapes(text: str) -> Iterator[str]:
    """*text* itself, and as JSON, Python, SQL, HTML, a shell and URLs write it."""
    yield text
    if text.isascii() and text.isalnum():
        return
    yield repr(_utf8(text))[2:-1]
    yield ascii(text)[1:-1]
    quoted = (text.replace("'", quote) for quote in ("''", "'\"'\"'", "'\\''"))
    for spelling in (text, repr(text)[1:-1], *quoted, *_html(text)):
        yield spelling
        # What JSON writes besides backslashes: a newline's letter, and a character's number.
        yield encode_basestring(spelling)[1:-1]
        yield encode_basestring_ascii(spelling)[1:-1]
    yield from _urls(text)


def _html(text: str) -> Iterator[str]:
    angles = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield angles
    for double in ("&quot;", "&#34;"):
        for single in ("&#39;", "&#x27;", "&apos;"):
            yield angles.replace('"', double).replace("'", single)
    yield text.replace("&", "u0026").replace("<", "u003c").replace(">", "u003e").replace("'", "u0027")


def _urls(text: str) -> Iterator[str]:
    from urllib.parse import quote, quote_plus  # noqa: PLC0415 - loaded on first use: importing this package has to stay cheap

    data = _utf8(text)
    # Everything; paths; encodeURIComponent and encodeURI; RFC 3986; requests; a browser's path and query.
    for safe in (
        "", "/", "!~*'()", ";,/?:@&=+$!~*'()#", "/:@!$&'()*+,;=", "!#$%&'()*+,/:;=?@[]~",
        "!$%&'()*+,/:;=@[\\]|~", "!$%&()*+,/:;=?@[\\]^`{|}~",
    ):  # fmt: skip
        once = quote(data, safe=safe)
        yield once
        yield once.replace("%", "%25")
    yield quote_plus(data)


def _lines(text: str) -> Iterator[str]:
    """The lines of a longer secret: a log shipper may send each of them as an event of its own."""
    for line in text.splitlines():
        stripped = line.strip()
        if len(stripped) >= SHORTEST_LINE and not stripped.startswith("-----"):
            yield stripped


def _byte_spellings(data: bytes) -> Iterator[str]:
    """*data* as Python, a hex dump and a list of numbers show it."""
    yield repr(data)[2:-1]
    yield data.hex()
    yield data.hex(":")
    yield data.hex("-")
    numbers = [str(byte) for byte in data]
    for separator in (",", ",\n", ",\\n"):  # the last two: one number a line, also as JSON in JSON
        yield separator.join(numbers)
    # As Go prints it, with blanks between the numbers. Bytes of zeros would be a number that stands in any text.
    digits = "".join(numbers)
    if len(digits) >= 2 * len(data):
        yield digits


def _base64_runs(data: bytes) -> Iterator[str]:
    """The characters that *data* alone decides, at each of its three places in a longer base64 text."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        # The first and last characters share bits with what stands around the secret.
        run = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(data)) % 3 else 0)]
        yield run
        if "+" in run or "/" in run:
            yield run.replace("+", "-").replace("/", "_")
