"""The forms in which a secret can be printed: JSON, repr, URL, HTML, shell, base64, hex, a key's bytes and halves.

A value that is too short or too common has none: masking it would hide harmless text.
Forms and texts are compared folded: in lower case, without backslashes and blanks. So letter case, JSON inside JSON, a
repr inside JSON and so on need no forms of their own: they differ only in case or in the number of backslashes. A hex
dump is only its digits, and there is less to search.
"""

from __future__ import annotations

import base64
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from json.encoder import encode_basestring, encode_basestring_ascii
from unicodedata import normalize

from keyring_core.redaction.patterns import compiled
from keyring_core.redaction.sensitive_values import class_changes
from keyring_core.redaction.spans import Span

# Common defaults and placeholders of eight characters or more. They protect nothing, and masking them hides harmless
# text.
_COMMON = frozenset(
    """
    password passwords password1 passw0rd passphrase changeme changeit change-me change_me please-change placeholder
    postgres postgresql mysql-root localhost localhost.localdomain administrator admin123 admin1234 rootroot
    username database default-password production development undefined testtest test1234 qwertyuiop qwerty123
    letmein1 iloveyou welcome1 12345678a abcd1234 example.com example-key your-key-here your-secret-here secret-key
    secretkey secret123 not-set disabled anonymous redacted withheld
    """.split()  # noqa: SIM905 - a list of fifty quoted words is no easier to read
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ][\d:.,+Z-]*)?")

_LEFT_OUT = b"\\ "
_LOWER = bytes(range(256)).lower()
_PLACES = re.compile(rb"[\\ ]")

# A run this long of a random-looking value is masked even without the rest of the value.
SHORTEST_PIECE = 10

# A lone surrogate that stands for no byte. Searched for, since the error of encoding it would hold the whole text.
_NO_BYTE = r"[\ud800-\udc7f\udd00-\udfff]"
_FERNET_KEY = re.compile(r"[A-Za-z0-9+/_-]{43}=?")
_ATOM = re.compile(r"[A-Za-z0-9+/_=-]+")
# Separates the runs of a random-looking password with symbols.
_WRITTEN = r"\s+|[^\x00-\x7f]+|(?<![A-Za-z0-9])(?:[A-Za-z][a-z]{4,}|[A-Z]{5,})(?![A-Za-z0-9])"
# A symbol that hosts, dates and names do not hold.
_ODD = re.compile(r"[^\w\s.:/@,;=+-]")
# A host occurs in harmless text. A port is no password; an "@" that should have been encoded is part of one.
_URL = (
    r"[A-Za-z][\w+.-]*://(?:[^\s/@:]*(?::(?!\d{1,5}(?:[^\w@]|$))(?P<password>\S(?:[\S ]{0,254}\S)?))?@)?"
    r"(?P<host>[^\s/?#@]+)\S*"
)


class Form:
    """One spelling of a secret, folded, and the shortest run of it that has to be masked."""

    __slots__ = ("floor", "label", "text", "windows")

    def __init__(self, text: str, label: str, floor: int | None = None) -> None:
        self.text = squeeze(text.encode("utf-8", "surrogatepass"))
        self.label = label
        self.floor = min(len(self.text), floor or len(self.text))
        self.windows = len(self.text) - self.floor + 1
        """The number of its runs of *floor* bytes."""

    def __repr__(self) -> str:
        return f"<Form of {self.label}>"


def squeeze(data: bytes, skipped: bytes = b"") -> bytes:
    """*data* in lower case, without the characters that comparisons ignore, and without the bytes *skipped*."""
    return data.translate(_LOWER, _LEFT_OUT + skipped)


def unsqueeze(spans: Iterable[Span], data: bytes) -> list[Span]:
    """The *spans* of ``squeeze(data)`` as spans of *data*."""
    # The place in the squeezed text of each byte that was left out.
    missing = [found.start() - number for number, found in enumerate(_PLACES.finditer(data))]

    def original(place: int) -> int:
        return place + bisect_right(missing, place)

    return [span._replace(start=original(span.start), end=original(span.end - 1) + 1) for span in spans]


def forms_of(value: str | bytes, label: str, *, inner: bool = False) -> list[Form]:
    """Every form of *value* that the matcher has to know; for a URL also the forms of its password, unless *inner*."""
    text = _as_text(value)
    whole: list[str] = []
    variants = {text} if _is_clean(text) else set()
    if variants and not text.isascii():
        variants |= {text.lower(), text.upper(), text.casefold(), text.capitalize()}
        variants |= {normalize(kind, variant) for variant in variants for kind in ("NFC", "NFD", "NFKC", "NFKD")}
    for variant in variants:
        whole += _escapes(variant)
        if "\n" in variant:
            # A log shipper may send each line of a longer secret as its own event.
            lines = map(str.strip, variant.splitlines())
            whole += [line for line in lines if len(line) >= SHORTEST_PIECE and not line.startswith("-----")]
    forms = _distinct([*whole, *_byte_spellings(_utf8(text))], label)
    forms += [_cuttable(run, label) for run in _base64_runs(_utf8(text))]
    url = compiled(_URL).fullmatch(text)
    random = text if url is None else f"{text[: url.start('host')]} {text[url.end('host') :]}"
    forms += [Form(piece, label, SHORTEST_PIECE) for piece in dict.fromkeys(_pieces(random))]
    if url is not None and url["password"] and not inner:
        from urllib.parse import unquote  # noqa: PLC0415 - as in _urls

        for password in dict.fromkeys((url["password"], unquote(url["password"]))):
            if unfit(password) is None:
                # One level only: URLs in URLs would take too many forms.
                forms += forms_of(password, label, inner=True)
    if _FERNET_KEY.fullmatch(text):
        forms += forms_of_key(base64.b64decode(text[:43].replace("-", "+").replace("_", "/") + "="), label)
    return forms


def forms_of_key(raw: bytes, label: str) -> list[Form]:
    """Every form of a 32-byte Fernet key: its text in both alphabets, its bytes, its two halves."""
    text = base64.urlsafe_b64encode(raw).decode()
    standard = text.replace("-", "+").replace("_", "/")
    # Runs of SHORTEST_PIECE cover the text without padding, the signing half, and a key that a narrow column cut.
    forms = [Form(spelling, label, SHORTEST_PIECE) for spelling in dict.fromkeys((text, standard))]
    forms += [_cuttable(run, label) for run in _base64_runs(text.encode())]
    number = int.from_bytes(raw, "big")
    whole = [str(number), f"{number:x}"]  # without the zeros that its bytes may begin with
    if standard != text:
        whole += _base64_runs(standard.encode())
    for part in (raw, raw[16:]):
        whole += _base64_runs(part)
    for part in (text.encode(), raw, raw[:16], raw[16:]):
        whole += _byte_spellings(part)
    # Every text holds the number of a key of zeros.
    return forms + [form for form in _distinct(whole, label) if len(form.text) >= SHORTEST_PIECE]


def trimmed(value: str | bytes) -> str | bytes:
    """*value* without the blanks and newlines that files and secret stores put around text."""
    text = _as_text(value)
    return text.strip() if _is_clean(text) else value


def unfit(value: str | bytes) -> str | None:
    """The reason why *value* cannot be masked by its text, or None. Does not show the value."""
    text = _as_text(value).strip()
    seen = text.replace("\\", "").replace(" ", "")  # as the matchers see it
    faults = (
        (not text, "empty"),
        (compiled(_NO_BYTE).search(text), "a lone surrogate, which has no UTF-8 form"),
        (len(seen) < 8, f"{len(seen)} characters, at least 8 are needed to mask it alone"),
        (len(set(seen)) < 4, "fewer than 4 different characters"),
        (text.isdecimal() and len(text) <= 11, "a number that counts and times can equal"),
        (text.casefold() in _COMMON, "a common word, which harmless text holds too"),
        (_DATE.fullmatch(text), "a date"),
    )
    return next((reason for found, reason in faults if found), None)


def _as_text(value: str | bytes) -> str:
    """*value* as text; bytes that are not UTF-8 become surrogates."""
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


def _cuttable(run: str, label: str) -> Form:
    """A form of a base64 *run* of which either half is masked by itself: a line may end inside it."""
    # Fewer than 16 characters of base64 occur in harmless text. MIME encoders cut at 76 characters, structlog's frame
    # locals at 80: half of that must be enough.
    return Form(run, label, min(32, max(16, len(run) // 2)))


def _distinct(spellings: Iterable[str], label: str) -> list[Form]:
    """One form for all *spellings* that fold to the same text."""
    return list({form.text: form for form in (Form(spelling, label) for spelling in dict.fromkeys(spellings))}.values())


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_clean(text: str) -> bool:
    """True if *text* is valid Unicode; bytes that are not UTF-8 have only byte spellings."""
    return not any("\udc80" <= character <= "\udcff" for character in text)


def _pieces(text: str) -> Iterator[str]:
    """Random-looking runs of letters and digits, and with symbols. Pieces of words would mask harmless text."""
    for atom in _ATOM.findall(text):
        if len(atom) >= SHORTEST_PIECE and class_changes(atom) * 6 >= len(atom):
            yield atom
    # A password generator's symbols are random, those in a document are not.
    if not _ODD.search(text) or compiled(r"://|[\"']:").search(text):
        return
    for run in compiled(_WRITTEN).split(text):
        letters = compiled(r"[^A-Za-z0-9]+").sub("", run)
        is_random = len(run) / 3 <= len(letters) <= 4 * class_changes(letters)
        if is_random and len(run) >= SHORTEST_PIECE and _ODD.search(run):
            yield run


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
        # JSON writes more than backslashes: a newline's letter, and a character's number.
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
    # Safe characters of: none; paths; encodeURIComponent; encodeURI; RFC 3986; requests; a browser's path and query.
    for safe in (
        "", "/", "!~*'()", ";,/?:@&=+$!~*'()#", "/:@!$&'()*+,;=", "!#$%&'()*+,/:;=?@[]~",
        "!$%&'()*+,/:;=@[\\]|~", "!$%&()*+,/:;=?@[\\]^`{|}~",
    ):  # fmt: skip
        once = quote(data, safe=safe)
        yield once
        yield once.replace("%", "%25")
    yield quote_plus(data)


def _byte_spellings(data: bytes) -> Iterator[str]:
    """*data* as Python, hex dumps and lists of numbers show it."""
    yield from (repr(data)[2:-1], data.hex(), data.hex(":"), data.hex("-"))
    numbers = [str(byte) for byte in data]
    for separator in (",", ",\n", ",\\n"):  # the last two: one number a line, also as JSON in JSON
        yield separator.join(numbers)
    # As Go prints it, with blanks between the numbers. Bytes of zeros would make a number that any text can hold.
    digits = "".join(numbers)
    if len(digits) >= 2 * len(data):
        yield digits


def _base64_runs(data: bytes) -> Iterator[str]:
    """The characters of *data* in a longer base64 text, at each of three offsets, that depend on nothing else."""
    for shift in range(3):
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        # The first and last characters share bits with the text around the secret.
        run = encoded[(0, 2, 3)[shift] : len(encoded) - (1 if (shift + len(data)) % 3 else 0)]
        yield run
        if "+" in run or "/" in run:
            yield run.replace("+", "-").replace("/", "_")
