"""Finds secrets by the text around them: private keys, URL passwords, headers, rows in database errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from keyring_core.redaction.credentials import find_credentials
from keyring_core.redaction.encodings import Form
from keyring_core.redaction.folding import lower, reduced
from keyring_core.redaction.logins import find_logins
from keyring_core.redaction.ordinary import PLACEHOLDER
from keyring_core.redaction.patterns import ANY_CASE, Shape, by_gate, compiled, hidden
from keyring_core.redaction.spans import Span

_KEY_BODY = r"private key(?: block)?-----"
_ANY = r"[\s\S]{1,20000}"
_ROW_END = r"(?=\.?\s*(?:\\n|\n|\(background|\"|'|$))"
_ENGINE = r" [^\]\n]{1,40}\] (?P<hide>[(\[{][^\n]{1,20000})"
_NO_PORT = r"(?!\d{1,5}(?:[^\w@]|$))"
_NO_PLACEHOLDER = rf"(?!(?:{PLACEHOLDER})@(?!\S{{0,256}}@))"
# A user's name or password as SQLAlchemy writes them in a URL.
_RENDERED = r"[\w.~%+ -]{1,256}"
_BLANKS = r"(?:\s|\\{1,7}[nrt]){1,16}"
# After "Authorization: Bearer", in a sentence about it.
_SPOKEN_OF = (
    r"(?:auth|authentication|authorization|credentials?|expected|expired|header|invalid|is|missing|must|needed|not|only"
    r"|realm|required|scheme|should|tokens?|was)(?![\w-])"
)
_ROW_KEY = r"\)=\((?P<hide>[^\n]{1,1000}?)\)(?= (?:already exists|is not present|is still|conflicts with))"

# Matched in any case. Each gate is long enough to be found together with known values.
_SHAPES = by_gate(
    Shape(
        "-----begin ",
        rf"-----begin [a-z0-9 ]{{0,40}}{_KEY_BODY}"
        rf"(?:(?:(?!-----)[\s\S]){{1,20000}}-----end [a-z0-9 ]{{0,40}}{_KEY_BODY}|[a-z0-9+/=\\\s]{{0,20000}})",
        "private-key",
    ),
    Shape(
        "authorization",
        r"authorization[\"'\\]{0,8}\s?[:=,]\s?[b\"'\\\[(]{0,10}(?:"
        rf"(?:bearer|basic|negotiate|apikey)\s+(?!{_SPOKEN_OF})(?P<token>[^\s\"'\\,;]{{4,}})"
        r"|(?:digest|hmac|aws4-hmac-sha256)\s+(?P<fields>[^\"\r\n\\]{8,800})"
        r"|(?:token\s+)?(?P<plain>(?=[^\s\"']{0,80}[0-9])[^\s\"'\\,;]{8,}))",
        "authorization",
    ),
    Shape("hooks.slack.com/", r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<hide>[\w/-]{16,})", "slack-hook"),
    Shape("signature=", r"signature=(?P<hide>[0-9a-f%]{32,})", "signature"),
    # SQLAlchemy shows its parameters; PostgreSQL and MySQL show the row that they refused. If the end was cut off, all
    # of it up to the end of the line is the secret.
    Shape("[parameters: ", rf"\[parameters: (?:(?P<hide>{_ANY}?)\]{_ROW_END}|(?P<cut>[^\n]{{1,20000}}))", "parameters"),
    Shape("[generated in ", rf"\[generated in{_ENGINE}", "parameters"),
    Shape("[cached since ", rf"\[cached since{_ENGINE}", "parameters"),
    Shape(
        "failing row contains (",
        rf"failing row contains \((?:(?P<hide>{_ANY}?)\){_ROW_END}|(?P<cut>[^\n]{{1,20000}}))",
        "row",
    ),
    # CREATE USER u IDENTIFIED BY 'value', with the words that MySQL and MariaDB allow in between.
    Shape(
        "identified",
        rf"identified{_BLANKS}(?:by|(?:with|via){_BLANKS}[\w'\"`\\]{{1,80}}{_BLANKS}(?:by|as|using)){_BLANKS}"
        rf"(?:password(?:{_BLANKS}|\(\s?))?(?P<quote>\\{{0,7}}[\"'])(?P<hide>[^\n]{{1,1000}}?)(?:(?<!\\)(?P=quote)|$)",
        "password",
        numbers=True,
    ),
    Shape("duplicate entry '", r"duplicate entry '(?:(?P<hide>[^\n]{1,5000}?)' for key|(?P<cut>[^\n]{1,5000}))", "row"),
)
# Their gates are short: a text without "@" needs no search for them.
_LOGINS = (
    # Up to the last "@": a password that should have been percent-encoded may hold "@" and "/"; a port does not.
    # SQLAlchemy encodes everything but blanks. Placeholders, dots and stars are no password.
    Shape(
        "://",
        rf"://[^\s/?#@:\"<>\[]{{0,100}}:{_NO_PORT}{_NO_PLACEHOLDER}"
        rf"(?P<hide>[^\s\"<>]{{1,256}}|(?! ){_RENDERED})@",
        "password",
        numbers=True,
    ),
    Shape("://", rf"://[\w.~%+-]{{1,100}} {_RENDERED}:(?P<hide>(?! ){_RENDERED})@[^\s/?#@]{{1,256}}/", "password"),
    Shape("://", r"://(?P<hide>(?=[\w-]{0,80}[0-9])[\w-]{20,})@", "token"),
)
# The signature in Azure's URLs, if the text holds "&".
_SIGNATURE = Shape("&sig=", r"&sig=(?P<hide>[\w%+/=-]{16,})", "signature")
# PostgreSQL's "Key (cell)=(value) already exists", if what `reduced` leaves of a text can hold its first word.
_KEY_LEFT = reduced(b"key")
_ROW = Shape(")=(", _ROW_KEY, "row")

# No label of a value starts like this.
_LANDMARK = "?"
LANDMARKS = tuple(Form(gate, _LANDMARK + gate) for gate in _SHAPES)


def find_shapes(text: str, data: bytes, gist: str, known: Sequence[Span]) -> list[Span]:
    """The spans of *text* to mask: those of *known* that are values, and those of shapes.

    *data* is *text* as bytes of the same length, *gist* what `reduced` leaves of it; the landmarks among *known* are
    the gates' places.
    """
    spans = find_credentials(text, data)
    if known:
        spans += [span for span in known if not span.label.startswith(_LANDMARK)]
        for gate, places in _landmarks(known, lower(text)).items():
            for shape in _SHAPES[gate]:
                spans += _matches(shape, text, places)
    if "&" in text:
        spans += _matches(_SIGNATURE, text, _places(_SIGNATURE.gate, lower(text)))
    if ")" in text and _KEY_LEFT in gist:
        spans += _matches(_ROW, text, _places(_ROW.gate, text))
    if "@" in text:
        for shape in _LOGINS:
            spans += _matches(shape, text, _places(shape.gate, text))
        spans += find_logins(text)
    return spans


def _landmarks(known: Iterable[Span], low: str) -> dict[str, list[int]]:
    """The places of each gate. A repeated gate can be one span: the matchers see no blank in between."""
    places: dict[str, list[int]] = {}
    for span in sorted(known):
        if span.label.startswith(_LANDMARK):
            gate = span.label[1:]
            # The span does not include the blank at the end of some gates.
            places.setdefault(gate, []).extend(_places(gate, low, span.start, span.end + 1))
    return places


def _places(gate: str, low: str, start: int = 0, end: int | None = None) -> Iterator[int]:
    place = low.find(gate, start, end)
    while place >= 0:
        yield place
        place = low.find(gate, place + 1, end)


def _matches(shape: Shape, text: str, places: Iterable[int]) -> Iterator[Span]:
    """The secrets of *shape* at *places*. Skips places inside the last match, so that the time stays linear."""
    done = 0
    for place in places:
        found = compiled(shape.pattern, ANY_CASE).match(text, place) if place >= done else None
        if found is not None:
            done = found.end()
            yield from hidden(found, shape)
