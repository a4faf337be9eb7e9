"""Finds values of sensitive names in text: ``password=...``, ``"token": "..."``, ``--key ...``, ``token is ...``."""

from __future__ import annotations

import re
from functools import cache

from keyring_core.redaction.folding import lower, neighbours, reduced
from keyring_core.redaction.names import Names, words
from keyring_core.redaction.ordinary import PASSWORDS, PLACEHOLDER, is_ordinary, looks_random
from keyring_core.redaction.patterns import ANY_CASE_VERBOSE, compiled
from keyring_core.redaction.spans import MASK_START, Span

# The last word of every sensitive name holds one of these. Second, what the name holds with the words before it, if the
# word is not sensitive by itself.
_GATES = (
    *((word, word) for word in ("pass", "pw", "secret", "token", "cred", "cookie", "key", "jwt", "otp", "text")),
    ("string", "connectionstring"),
)
# A gist of this length is first searched for the first two and the last two letters of each gate.
_LONG = 100
# In place of two letters, for a gate of which `reduced` leaves fewer.
_ANY = b"\xff"


@cache
def _gates(own: tuple[tuple[str, ...], ...]) -> list[tuple[str, str, int, int]]:
    """All gates: these, and the last words of a service's *own* names.

    Of each the word to look for, what `reduced` leaves of its name, and what `neighbours` makes of both ends of that.
    """
    gates = []
    for word, name in (*_GATES, *((name[-1], "".join(name)) for name in own if name)):
        left = reduced(name.encode())
        first, last = (neighbours(end) or _ANY for end in (left[:2], left[-2:]))
        gates.append((word, left, first[0], last[0]))
    return gates


_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_LONGEST_NAME = 64
_END = r"""(?=[\s&;,"'`<>()\[\]{}|\\]|$)"""

_WORD = r"(?P<word>[a-z]{1,40}+\d{0,3})"
_QUOTE = r"""\\{0,7}+["'`]"""
_NAME_ENDS = rf"(?:{_QUOTE})?+\]?+\s?+"
_QUOTED = r"""b?(?P<quote>\\{0,7}["'`])(?!(?P=quote))(?P<quoted>[\s\S]+?)(?:(?<!\\)(?P=quote)|$)"""
# One character of a value without quotes.
_BARE = r"""(?:[^\s&;,"'`<>()\[\]{}|\\]|(?!\\{1,15}[nrtu"'])\\)"""

# An object whose attribute code reads: ``token = request.user.token`` holds no secret.
_OBJECT = (
    "(?:self|cls|this|app|args|body|cfg|client|conf|config|context|ctx|data|env|event|form|kwargs|obj|options|opts|os"
    "|params|payload|record|req|request|row|session|settings|state|user)"
)

# A value in a sentence.
_PROSE = r"""[^\s,;"'`<>()\[\]{}\\]{6,}+"""

# A value is matched to its end, however long it is. That takes linear time: a quoted value ends at the next quote of
# its kind, and other values hold no blank, bracket or quote, one of which precedes each.
_PATTERN = rf"""
    {_WORD}
    (?:
        (?:
            # name="value", 'name': b'value', {{\"name\": \"value\"}} inside a JSON string
            {_NAME_ENDS} (?:=>|:=|=|:)\s{{0,2}}
            # key="name" value="value", {{"name": "name", "value": "value"}}
          | {_QUOTE}[\s,]{{1,8}}+(?:{_QUOTE})?+value{_NAME_ENDS}[=:]\s{{0,2}}
            # setName("value")
          | (?P<call>\(\s{{0,8}})
            # name is "value"
          | [ ](?:is|was):?[ ]
        ) {_QUOTED}
      # name=value, not code: name=call(...), name=self.attribute
      | {_NAME_ENDS} (?:=>|=)(?!=)\s?
                (?!\$\{{|%\(\w{{1,64}}\)s)(?![A-Za-z_][\w.]{{0,80}}[(\[])(?!{_OBJECT}(?:\.[a-z_]{{1,40}}){{1,8}}{_END})
        # one character, for a value can hold names and values of its own: the rest of a secret is found by _BARE_END
        (?P<bare>{_BARE})
      # Name: value and name:value, if the value is no word of a sentence
      | :[ ]{{0,2}}(?![ :])(?P<header>{_PROSE})
      # <name>value</name>
      | >(?P<element>[^<>\s][^<>]*+)</
      # the name is value
      | [ ](?:is|was):?[ ](?P<prose>{_PROSE})
      # --name value, and (name value) if the value is no word of a sentence
      | [ ](?P<option>(?=[^\s"']*[^a-z\s"'])[^\s"'\\]++)
      # ALTER USER u PASSWORD 'value', but not a parser's unexpected token '<'
      | (?<=password)[ ]'(?P<literal>[^'\n]++)'
    )
"""
_BARE_END = f"{_BARE}++"
# "&" ends a value in a URL and in a form.
_BARE_END_OUTSIDE_URLS = f"(?:{_BARE}|&)++"
# '--name', 'value' in a list, --name 'value' in a shell
_ARGUMENT = rf"""{_WORD}(?:\\{{0,7}}["'],\s?|[ ]){_QUOTED.replace("quoted", "argument")}"""
_COOKIES = r"""cookies?["'\\]{0,8}\s?[:=]\s?["'\\b]{0,8}(?P<cookies>[\w.-]{1,64}=[^\r\n"'\\]++)"""
# A word or placeholder in place of a value.
_NO_VALUE = rf"""none|null|nil|true|false|undefined|yes|no|on|off|empty|missing|required|optional|unset
    |not-set|hidden|[^\w\x80-\xff]{{1,3}}|{PLACEHOLDER}"""
_NUMBER = r"-?\d+(?:\.\d+)?"


# PWD is also a shell's working directory.
_PATH = r"(?:/[\w.@-]*)+"
# setPassword("value") holds a value, getPassword("name") a name.
_VERBS = frozenset(
    {"change", "check", "compare", "hash", "login", "reset", "set", "update", "validate", "verify", "with"}
)
# The parts of --plaintext and --cleartext before the sensitive word.
_SWITCHES = frozenset({"--plain", "--clear"})


def find_pairs(text: str, gist: str, names: Names) -> list[Span]:
    """The values of sensitive names in *text*. *gist* is what `reduced` leaves of it."""
    spans: list[Span] = []
    gates = _gates(names.own)
    if len(gist) >= _LONG:
        near = neighbours(gist) + _ANY
        gates = [gate for gate in gates if gate[2] in near and gate[3] in near]
    words = [word for word, left, _, _ in gates if left in gist]
    low = lower(text) if words else ""
    for word in words:
        start = low.find(word)
        while start >= 0:
            pair = _pair_at(text, start, names)
            if pair is not None:
                spans.append(pair)
            # A pair holds no other pair; searching it again would be quadratic.
            start = low.find(word, pair.end if pair is not None else start + len(word))
    return spans


def _pair_at(text: str, start: int, names: Names) -> Span | None:
    """The value of the name whose last word begins at *start*."""
    found = compiled(_PATTERN, ANY_CASE_VERBOSE).match(text, start)
    if found is None and text.find("--", start - min(start, _LONGEST_NAME), start) >= 0:
        found = compiled(_ARGUMENT, ANY_CASE_VERBOSE).match(text, start)
    if found is not None:
        before = _name_before(text, start)
        label = names.label(before + found["word"])
        pair = _value_of(found, before, label, names) if label else None
        if pair is not None:
            return pair
    if text[start] in "cC":
        found = compiled(_COOKIES, ANY_CASE_VERBOSE).match(text, start)
        if found is not None and not found["cookies"].startswith(MASK_START):
            return Span(*found.span("cookies"), "cookie")
    return None


def _value_of(found: re.Match[str], before: str, label: str, names: Names) -> Span | None:
    """The value in a match of the name that *before* and the match's word make."""
    text, kind, name = found.string, found.lastgroup or "", (before + found["word"]).lower()
    begin, end = found.span(kind)
    if kind == "option" and not before.startswith("--"):
        # "pass" is a verb there.
        if label not in PASSWORDS or name == "pass":
            return None
        kind, end = "prose", _end(_PROSE, text, begin)
    if not _fits(kind, before, found):
        return None
    if kind == "bare":
        end = _end(_BARE_END, text, begin)
    value = text[begin:end]
    if not _is_value(kind, value, names) or (kind in ("header", "prose") and is_ordinary(value, label)):
        return None
    if name == "pwd" and compiled(_PATH).fullmatch(value) and not looks_random(value):
        return None
    if kind == "bare" and not _in_url(text, found.start() - len(before)):
        end = _end(_BARE_END_OUTSIDE_URLS, text, begin)
    return Span(begin, end, label)


def _end(pattern: str, text: str, begin: int) -> int:
    """The end of the match of *pattern* at *begin*."""
    found = compiled(pattern, ANY_CASE_VERBOSE).match(text, begin)
    return begin if found is None else found.end()


def _in_url(text: str, name: int) -> bool:
    """Whether the characters before the *name* show that it is in a URL's query or a form."""
    return text.endswith(("?", "&", "#", "&amp;"), max(0, name - 5), name)


def _name_before(text: str, start: int) -> str:
    """The characters of the name before *start*."""
    reach = text[max(0, start - _LONGEST_NAME) : start]
    outside = reach.rstrip(_NAME_CHARACTERS)
    name = reach[len(outside) :]
    # An escaped newline in JSON ends in a letter that is not part of the name.
    return name[1:] if outside.endswith("\\") and name[:1] in ("n", "r", "t") else name


def _fits(kind: str, before: str, found: re.Match[str]) -> bool:
    """Whether the name may have its value in this *kind* of place: after ``--``, in a call, in an element, in SQL."""
    if kind in ("option", "argument"):
        # --no-password and --plaintext are switches: another argument follows.
        return before.startswith("--") and not before.startswith("--no-") and before.lower() not in _SWITCHES
    if kind == "element":
        return found.string.startswith("<", max(0, found.start() - len(before) - 1))
    if kind == "quoted" and found["call"]:
        return not _VERBS.isdisjoint(words(before + found["word"]))
    return kind != "literal" or not before or before.startswith("--")


def _is_value(kind: str, value: str, names: Names) -> bool:
    """Whether *value* can be a secret: not a number outside quotes, a placeholder or a variable's name."""
    if value.startswith(MASK_START) or compiled(_NO_VALUE, ANY_CASE_VERBOSE).fullmatch(value):
        return False
    if kind == "bare":
        is_name = value.replace(".", "_").isidentifier() and names.label(value)
        return not (compiled(_NUMBER).fullmatch(value) or is_name)
    return True
