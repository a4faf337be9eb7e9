"""Decides whether what stands behind a sensitive name is its value, and a secret.

A name stands in code, in help texts, in sentences and in paths, too. After ``password is`` only what cannot be an
ordinary word counts as a secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from keyring_core.redaction.patterns import ANY_CASE, ANY_CASE_VERBOSE, EXACT_VERBOSE, compiled
from keyring_core.redaction.sensitive_names import DIGEST_OF, Names, words
from keyring_core.redaction.spans import MASK_START

# The characters that are read of a value in a sentence: what is longer is no word.
MOST = 64
# Names with other uses: in text, and only if the value is no ordinary word.
DOUBTFUL = {"auth": "authorization", "_auth": "authorization", "code": "code", "assertion": "assertion"}

# Takes the place of a value. Also within VERBOSE.
_FIELD = r"(?:%s|%\(\w+\)s|\{[\w.!:]*\})"
PLACEHOLDER = (
    rf"\{{?{_FIELD}(?:[:/\ @._-]{_FIELD})*\}}?|%env\(\w+\)%|\$\{{?[A-Z_]+\}}?|\$\d|<[\w\ |-]+>"
    r"|[:@][a-z_]+|[*]+|[.]{3,}|x{3,}|@@[A-Za-z_]+@@|__[A-Za-z_]+__"
)
# A word, placeholder, template, reference to a store of secrets, or digest in place of a value.
_NO_VALUE = rf"""none|null|nil|true|false|undefined|yes|no|on|off|empty|missing|required|optional|unset
    |not-set|hidden|same-origin|include|omit|[^\w\x80-\xff]{{1,3}}|{PLACEHOLDER}
    |\$\{{\{{?[^{{}}]*\}}\}}?|\$\([^()]*\)|\{{\{{.*\}}\}}|\{{%.*%\}}|process\.env\.\w+
    |!(?:vault|secret|reference|sub|ref|env|getatt)|(?:op|sm|ref\+\w{{1,20}}|vault)://.*|env:[a-z_]+
    |vault:[\w.-]+/[\w./\#-]+|enc\[.*
    |[\[(](?:filtered|redacted|hidden|sensitive)[\])]|[+-]+[ ]\#[ ]\(\d+[ ]bytes\)|hmac-sha256:[0-9a-f]{{64}}"""

# setPassword("value") holds a value, getPassword("name") a name.
_VERBS = frozenset(
    {"change", "check", "compare", "hash", "login", "reset", "set", "update", "validate", "verify", "with"}
)
_NAME_OF_A_MANIFEST = r"""name:\s?["']?"""
# A quote that begins a text, and words.
_TEXT_OPENS = r"(?:^|[^\w\\]){}[\w -]{{0,40}}"
# An argument that is an option; and what follows a password's name without being one: another pair, an option, a path.
_SWITCH = r"--?[a-z]+(?:-[a-z]+)*"
_OTHER_ARGUMENT = rf"(?:[a-z]+_)?id=|-p|{_SWITCH}\Z|(?:/[a-z_-]+){{2,}}\Z"

# A password may be short; a short token or secret with a digit is mostly a version or a number of something.
PASSWORDS = frozenset({"password", "passphrase"})

_DIGIT_AND_LETTER = r"(?=[^0-9]{0,64}+[0-9])[^A-Za-z]{0,64}+[A-Za-z]"
# An algorithm, a standard, a version, or a number with its unit.
_TECHNICAL = r"""(?:
      (?:sha|aes|rfc|iso|utf|pbkdf|argon|bcrypt|scrypt|base|oauth|tls|ssl|cve|fips|nist)-?\d{1,4}[a-z]{0,3}(?:[-_./+].*)?
    | (?:md|hs|rs|es|x)-?\d{1,3} | v\d{1,4}(?:[.-].*)?
    | \d+(?:-\d+)?-?(?:fa|factor|chars?|characters?|bytes?|bits?|seconds?|min|minutes?|hours?|days?|times?))"""
_CLASS_CHANGE = r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])"
# "user-supplied", "docs/setup.md", "/etc/app", "NotFound", "HTTPError", "n/a", "7.30".
_WORD = r"(?:(?=[A-Za-z'\x80-\xff]) [A-Z]*+ [a-z'\x80-\xff]*+ (?:[A-Z][a-z]{2,}+)*+ | [0-9]++)"
_WORDS = rf"/?{_WORD} (?:[._/:-]++{_WORD})*+"


class Name(NamedTuple):
    """A sensitive name from *start* to *end* of a *text*; in lower case, and with the label of its value."""

    text: str
    start: int
    end: int
    lower: str
    label: str

    @property
    def is_option(self) -> bool:
        """True if it begins as a program's option does."""
        return self.lower.startswith("--")

    @property
    def is_doubtful(self) -> bool:
        """True if it has other uses, so that an ordinary word behind it is no secret."""
        return self.lower.endswith("auth") or self.lower in DOUBTFUL

    @property
    def before(self) -> str:
        """The character before it, if there is one."""
        return self.text[self.start - 1 : self.start]

    def follows(self, pattern: str, reach: int = 12) -> bool:
        """True if it comes right after *pattern*."""
        begin = max(0, self.start - reach)
        return compiled(rf"(?:{pattern})\Z", ANY_CASE).search(self.text, begin, self.start) is not None


def is_secret(name: Name, kind: str, found: re.Match[str], value: str, names: Names) -> bool:
    """True if *value* belongs to *name*, and is a secret.

    *found* is the match of the sign behind the name and of the value's beginning, *kind* its group with the value.
    """
    way = kind
    if kind == "quoted":
        # What it follows, if no sign.
        way = next((way for way in ("call", "below", "beside", "pair") if found[way]), kind)
    if name.is_option and way in ("option", "beside", "pair"):
        way = "argument"
    elif way in ("header", "prose", "option"):
        # Another pair of a log line: secret: path=secret/data/app.
        begins_pair = name.label not in (*PASSWORDS, "cookie") and compiled(r"(?:path|mount|version)=[^=]").match(value)
        if begins_pair or is_ordinary(value, name.label):
            return False
    if way in _PLACES and not _PLACES[way](name, found, value):
        return False
    if value.startswith(MASK_START) or not _is_text(name, kind, value, names):
        return False
    return len(value) > 256 or compiled(_NO_VALUE, ANY_CASE_VERBOSE).fullmatch(value) is None


def _is_text(name: Name, kind: str, value: str, names: Names) -> bool:
    """True if *value* is no number, variable, id or folder, which the name may have, too."""
    # This project shows which keys are loaded by their ids.
    if name.lower.endswith(("previous_keys", "staged_key")) and compiled(r"[0-9a-f]{8}").fullmatch(value):
        return False
    if name.is_doubtful:
        is_constant = compiled(r"[A-Z]+(?:[_-][A-Z0-9]+)+").fullmatch(value)
        if is_constant:
            return False
        # An authorization code; a coupon's or an error's is shorter.
        return (name.lower != "code" or len(value) >= 16) and not is_ordinary(value, name.label)
    # PWD is also a shell's working directory, which does not look random.
    if name.lower == "pwd" and compiled(r"(?:/[\w.@-]*)+").fullmatch(value) and class_changes(value) * 4 < len(value):
        return False
    if kind in ("bare", "under", "block"):
        is_name = compiled(r"[A-Za-z_][A-Za-z_.]*\d{0,3}").fullmatch(value) and names.label(value) is not None
        # client.get(url, cookies=jar)
        is_variable = name.lower == "cookies" and compiled(r"[a-z_]+").fullmatch(value)
        return not (is_name or is_variable or compiled(r"-?\d[\d_]*(?:\.\d+)?").fullmatch(value))
    # "password": "NOT_LOGGING_PASSWORD"
    return not (value.isupper() and "_" in value and value.isidentifier() and names.label(value))


def _after_sign(name: Name, found: re.Match[str], _value: str) -> bool:
    """``name: "value"``, but no text that ends behind the name: ``input('Password: ', ...)``."""
    if not _after_colon(name, found, _value):
        return False
    text, quote = name.text, found["quote"]
    is_colon = text[name.end : found.start("quote")].strip() == ":"
    if not is_colon or not name.follows(_TEXT_OPENS.format(re.escape(quote)), 48):
        return True
    # Unless the quote before the name closes a text itself: url="https://h/" password: "value".
    line = max(text.rfind("\n", 0, name.start) + 1, name.start - 500)
    return text.count(quote, line, name.start) % 2 == 0


def _after_colon(name: Name, _found: re.Match[str], _value: str) -> bool:
    """``name: value``, but not checksum/secret, an ARN, or "$PWD:/work"."""
    if name.before == "/":
        return not name.follows(DIGEST_OF)
    if name.before == ":":
        # arn:aws:secretsmanager:region:account:secret:name
        return not name.follows(r"secretsmanager:[\w:-]{0,60}:", 80)
    return name.before != "$" or name.lower != "pwd"


def _in_call(name: Name, found: re.Match[str], _value: str) -> bool:
    """``setName("value")`` and SQL's ``PASSWORD('value')``, but not ``set_cookie("name", "value")``."""
    if name.label == "cookie" and found.string.startswith(",", found.end()):
        return False
    written = name.text[name.start : name.end]
    return written in ("PASSWORD", "OLD_PASSWORD") or not _VERBS.isdisjoint(words(written))


def _in_pair(name: Name, found: re.Match[str], value: str) -> bool:
    """``(b'name', b'value')``, but no two names, and no column with its type: ``('token', 'created_at')``."""
    # As httpx, ASGI servers and parsers of forms show a pair, and as PHP defines a constant.
    if not (name.follows(r"""[(\[]\s?b?\\{0,7}["']""") and compiled(r"\s?[)\]]").match(found.string, found.end())):
        return False
    if found.string.startswith("b", found.end("pair")):
        return True
    is_column = r"[A-Z]+ ?\(\d+(?:, ?\d+)?\)"
    return not (is_ordinary(value, name.label) or compiled(is_column, ANY_CASE).fullmatch(value))


_PLACES: dict[str, Callable[[Name, re.Match[str], str], bool]] = {
    # --name value, but not behind a switch, before another option, or in a help text: [--name NAME].
    "argument": lambda name, _found, value: (
        name.before != "["
        and not name.lower.startswith(("--no-", "--ask-", "--plain", "--clear"))
        and not compiled(_SWITCH).fullmatch(value)
    ),
    # - name: NAME, and in the next line: value: "value"
    "below": lambda name, _found, _value: name.follows(_NAME_OF_A_MANIFEST),
    "under": lambda name, _found, _value: name.follows(_NAME_OF_A_MANIFEST),
    # proxy_set_header X-Api-Key "value", but not a parser's unexpected token "value".
    "beside": lambda name, _found, value: (
        (name.label in PASSWORDS or ("-" in name.lower and len(value) >= 16))
        and name.lower != "pass"
        and not all(is_ordinary(word, name.label) for word in value.split())
    ),
    # A value of ODBC, not a placeholder.
    "braced": lambda name, _found, value: (
        name.label in PASSWORDS and not compiled(r"[a-z_.!0-9]*[a-z_.!]|\d+").fullmatch(value)
    ),
    "call": _in_call,
    "element": lambda name, _found, value: (
        name.before in ("<", ">")
        or (name.follows(r"""<[^<>]{0,60}(?:name|key)=["']""", 80) and not is_ordinary(value, name.label))
    ),
    "header": _after_colon,
    "literal": lambda name, _found, _value: name.lower == "password" or name.is_option,
    # password value; "pass" is a verb there, and a path goes on with a protocol: GET /reset-password HTTP/1.1.
    "option": lambda name, found, _value: (
        name.label in PASSWORDS
        and name.lower != "pass"
        and name.before not in ("/", "=")
        and not compiled(_OTHER_ARGUMENT).match(found["option"])
    ),
    "pair": _in_pair,
    "quoted": _after_sign,
}


def class_changes(text: str) -> int:
    """The number of changes between small letters, capitals and digits in *text*; random text has many."""
    return len(compiled(_CLASS_CHANGE).findall(text))


def is_ordinary(value: str, label: str) -> bool:
    """True if *value*, after a name with *label*, can be a word of a sentence and not a secret."""
    word = value.rstrip(".,:;!?")
    is_password = label in PASSWORDS
    if len(word) < (6 if is_password else 8):
        return True
    if len(word) <= 20 and compiled(_TECHNICAL, ANY_CASE_VERBOSE).fullmatch(word):
        return True
    if compiled(_DIGIT_AND_LETTER).match(word):
        return False
    return not is_password or bool(compiled(_WORDS, EXACT_VERBOSE).fullmatch(word))
