"""Finds values of sensitive names in text: ``password=...``, ``"token": "..."``, ``--key ...``, ``token is ...``.

The name is looked up first, and its value is read only if the name is sensitive. A secret is read to its end, and the
search goes on behind it; of any other value, at most `MOST` characters are read. So no character is read often.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

from keyring_core.redaction.effort import READ, Limit, bounded, lower, neighbours, reduced, rest
from keyring_core.redaction.patterns import ANY_CASE_VERBOSE, Fields, by_first_character, compiled
from keyring_core.redaction.sensitive_names import KINDS_OF_KEYS, Names
from keyring_core.redaction.sensitive_values import DOUBTFUL, MOST, Name, is_secret
from keyring_core.redaction.spans import MASK_START, Span

_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
# The last two letters of all words that make a key a secret. Most keys are not.
_ENDS_OF_KINDS = "|".join(sorted({kind[-2:] for kind in KINDS_OF_KEYS}))


def _behind(word: str, *before: str) -> str:
    """A pattern of *word* where one of *before* precedes it. It begins with the word, since C looks for that."""
    return f"{word}(?:{'|'.join(f'(?<={start}{word})' for start in before)})"


# Every sensitive name holds one of these: how its last word is found, a word of it that the text holds then, and how
# it is written without what joins its words.
_GATES = (
    *((word, word, word) for word in ("pass", "pw", "secret", "token", "cookie", "jwt", "otp", "psk", "assertion")),
    *((word, word, word) for word in ("creds", "credential")),
    (_behind("confirmation", "password", "password[_-]"), "confirmation", "passwordconfirmation"),
    (r"secret[_-]?key[_-]?base", "secret", "secretkeybase"),
    (_behind("text", "plain", "clear"), "text", "text"),
    (_behind("key", f"(?:{_ENDS_OF_KINDS})", f"(?:{_ENDS_OF_KINDS})[_. -]"), "key", "key"),
    (_behind("string", "[a-z0-9_. -]"), "connection", "connectionstring"),
    (_behind("string", "[a-z0-9_. -]"), "secret", "secretstring"),
    (_behind("sid", "connect[._]"), "connect", "connectsid"),
    ("auth(?!or)", "auth", "auth"),
    ("sess(?:ion)?id", "sess", "sess"),
    (_behind("code", "[?&#]", "device", "device[_-]"), "code", "code"),
    (r"code[_-]?verifier", "code", "code"),
    (_behind("response", "saml", "saml[_-]"), "saml", "samlresponse"),
)
# The rest of the last word, and what can stand between a name and its value.
_WORD_END = r"""[a-z]{0,40}+(?:_?\d{1,3})?+(?=[\s"'`\\\]=:<>(])"""
# In place of two letters, for a gate of which `reduced` leaves fewer.
_ANY = b"\xff"


class _Gate(NamedTuple):
    """A gate, and what `reduced` and `neighbours` leave of its name."""

    pattern: str
    word: str
    left: str
    last: int


class _Gates:
    """All gates: these, and the last words of a service's own names."""

    __slots__ = ("all", "by_byte", "least", "pattern")

    def __init__(self, own: tuple[tuple[str, ...], ...]) -> None:
        gates = [*_GATES, *((re.escape(name[-1]), name[-1], "".join(name)) for name in own if name)]
        self.pattern = by_first_character(pattern for pattern, _, _ in gates)
        self.all: list[_Gate] = []
        self.by_byte: dict[int, list[_Gate]] = {}
        for pattern, word, name in gates:
            left = reduced(name.encode())
            first, last = (ord(neighbours(end) or _ANY) for end in (left[:2], left[-2:]))
            self.all.append(_Gate(pattern, word, left, last))
            self.by_byte.setdefault(first, []).append(self.all[-1])
        lefts = {gate.left for gate in self.all}
        # A gist without any of these has none of the others.
        self.least = [left for left in lefts if not any(other in left for other in lefts - {left})]

    def search(self, text: str, gist: str) -> tuple[str, str, int] | None:
        """*text* in lower case, the pattern that finds its gates, and where the first of them can be."""
        if len(gist) < 100:
            near = self.all if [left for left in self.least if left in gist] else []
        else:  # first it is searched for the first two and the last two letters of each gate
            seen = neighbours(gist) + _ANY
            near = [gate for byte, gates in self.by_byte.items() if byte in seen for gate in gates if gate.last in seen]
        near = [gate for gate in near if gate.left in gist]
        if not near:
            return None
        low = lower(text)
        found = [gate for gate in near if gate.word in low]
        if not found:
            return None
        # One of many patterns for some of the gates would have to be compiled first.
        patterns = {gate.pattern for gate in found}
        pattern = patterns.pop() if len(patterns) == 1 else self.pattern
        return low, f"(?:{pattern}){_WORD_END}", min(low.find(gate.word) for gate in found)


_gates = cache(_Gates)

_END = r"""(?=[\s&;,"'`<>()\[\]{}|\\]|$)"""
_QUOTE = r"""\\{0,7}+["'`]"""
_NAME_ENDS = rf"(?:{_QUOTE})?+\]?+[ ]{{0,40}}+\s?+"
_QUOTED = r"""[bru]?(?P<quote>\\{0,7}["'`])(?!(?P=quote))(?P<quoted>[\s\S]+?)(?:(?<!\\)(?P=quote)|$)"""
# One character of a value without quotes.
_BARE = r"""(?:[^\s&;,"'`<>()\[\]{}|\\]|(?!\\{1,15}[nrtu"'])\\)"""
_BARE_WORD = f"{_BARE}{{1,{MOST}}}+"
_BARE_END = f"{_BARE}++"
# "&" ends a value in a URL and in a form.
_BARE_END_OUTSIDE_URLS = f"(?:{_BARE}|&)++"
# A value in a sentence.
_PROSE = r"""[^\s,;"'`<>()\[\]{}\\]"""
_PROSE_END = f"{_PROSE}++"

# An object whose attribute code reads: ``token = request.user.token`` holds no secret.
_OBJECT = (
    "(?:self|cls|this|app|args|body|cfg|client|conf|config|context|ctx|data|env|event|form|kwargs|obj|options|opts|os"
    "|params|payload|record|req|request|row|session|settings|state|user)"
)
# Code in place of a value: call(...), items[...], a = b = c, self.attribute, Name.Attribute, a_resource.name.attribute,
# $this->items, await x, lambda: x, f"{{x}}", and what templates and shells put in.
_CODE = rf"""
    (?![A-Za-z_][\w.:?]{{0,80}}(?:\(|\[(?!/))) (?![A-Za-z_]\w{{0,60}}[ ]=[ ])
    (?!{_OBJECT}(?:\.[a-z_]{{1,40}}){{1,8}}{_END})
    (?!(?-i:(?:[A-Z][a-z]{{1,40}}){{1,4}}(?:\.[A-Za-z_]{{1,40}}){{1,4}}){_END})
    (?!(?:data|[a-z]{{1,20}}_[a-z_]{{1,40}})\.[a-z][\w-]{{0,40}}(?:\.[a-z][\w-]{{0,40}}){{1,4}}{_END})
    (?!\$\w{{1,40}}->|(?:await|not|new)[ ]|lambda\b|yield\b|[fF]["'])
    (?!\$[({{]|%\(\w{{1,64}}\)s|\{{\{{)"""
# The end of a line, also in JSON.
_NEWLINE = r"(?:[ ]*\n|\\{1,7}n)"
_VALUE = rf"""
    (?:
        # ALTER USER u PASSWORD 'value', but not a parser's unexpected token '<'
        (?<=password)[ ]'(?P<literal>[^'\n]++)'
      | (?:
            # name="value", 'name': b'value', {{\"name\": \"value\"}} inside a JSON string
            {_NAME_ENDS} (?:=>|:=|=|:)\s{{0,2}}
            # key="name" value="value", {{"name": "name", "value": "value"}}, "name": {{"value": "value"}}
          | {_QUOTE}(?:[\s,]{{1,8}}+|:\s?\{{\s?)(?:{_QUOTE})?+value{_NAME_ENDS}[=:]\s{{0,2}}
            # setName("value")
          | (?P<call>\(\s{{0,8}})
            # name is "value"
          | [ ](?:is|was):?[ ]
            # - name: NAME, and in the next line: value: "value"
          | (?P<below>(?:{_QUOTE})?+{_NEWLINE}[ ]{{1,20}}value:[ ]{{1,3}})
            # password "value"
          | (?P<beside>[ ]{{1,4}})
            # (b'name', b'value')
          | (?P<pair>{_QUOTE}\s?,\s{{0,12}})
        ) {_QUOTED}
      # name=value, not code
      | {_NAME_ENDS} (?:=>|=)(?!=)(?:\s(?:(?<=\s=\s)|(?![\w.-]{{1,40}}=\w)))? {_CODE}
        # one character, for a value can hold names and values of its own: the rest of a secret is found by _BARE_END
        (?P<bare>{_BARE})
      # Pwd={{value}};
      | =\s?\{{(?P<braced>(?:[^}}\r\n{{"']|\}}\}}){{1,{MOST}}}+)\}}(?!\}})
      # map[Name:[value]]
      | :\[(?P<listed>[^\[\]\s"'{{}}][^\[\]\r\n"']*+)\]
      # name: |, and in the next line: value
      | {_NAME_ENDS}:[ ]{{1,2}}[|>][+-]?{_NEWLINE}[ ]{{1,20}}(?P<block>[^\s"'\\]++)
      # Name: value and name:value, if the value is no word of a sentence
      | (?:[ ]\d{{1,2}})?:[ ]{{0,2}}(?![ :])(?P<header>{_PROSE}{{6,{MOST}}}+)
      # <name>value</name>, <property name="name">value</property>, <name>name</name><value>value</value>
      | (?:(?:{_QUOTE})?|</name>(?:{_NEWLINE})?[ ]{{0,20}}<value)>(?P<element>[^<>\s][^<>]*+)</
      # the name is value
      | [ ](?:is|was):?[ ](?P<prose>{_PROSE}{{6,{MOST}}}+)
      # - name: NAME, and in the next line: value: value
      | (?:{_QUOTE})?+{_NEWLINE}[ ]{{1,20}}value:[ ]{{1,3}}(?P<under>[^\s"'\\][^\r\n"'\\]*+)
      # --name value, and (name value) if the value is no word of a sentence
      | [ ](?:[0578][ ])?(?P<option>(?=[^\s"']{{0,{MOST}}}[^a-z\s"'])[^\s"'\\]++)
    )
"""
_COOKIES = r"""cookies?["'\\]{0,8}\s?[:=]\s?["'\\b]{0,8}(?P<cookies>[\w.-]{1,64}=[^\r\n"'\\]++)"""
# A name in quotes is a value itself if these follow, unless it begins a pair or is an option.
_BEHIND_VALUES = ('",', "',", '"}', "'}", '"]', "']", '")', "')")
_DIGITS = tuple("0123456789")
# What shows before a name that it is in a URL's query or a form.
_IN_URLS = ("?", "&", "#", "&amp;")


def find_pairs(text: str, gist: str, names: Names, limit: Limit = bounded) -> list[Span]:
    """The values of sensitive names in *text*. *gist* is what `reduced` leaves of it."""
    search = _gates(names.own).search(text, gist)
    if search is None:
        return []
    low, pattern, first = search
    spans: list[Span] = []
    effort = limit(len(text))
    fields = Fields(text)
    done = 0
    for word in compiled(pattern).finditer(low, first):
        start, end = word.span()
        if end + 2 < done:  # the longest sign is "=>"
            # A pair holds no other pair; the last word of a value may be a name whose value comes behind it.
            continue
        value = None
        begin = _name_start(text, start)
        label = names.label(text[begin:end]) or DOUBTFUL.get(low[begin:end])
        if label is not None and not (text.startswith(_BEHIND_VALUES, end) and _is_value_itself(text, begin, end)):
            if not effort.step():
                return [*spans, rest(text, start)]
            found = fields.match(compiled(_VALUE, ANY_CASE_VERBOSE), end, end)
            if found is not None:
                # A number is no secret at a glance: prompt_tokens=812
                if not text.startswith(_DIGITS, found.start(found.lastgroup or 0)):
                    effort.step(READ)
                value = _value(Name(text, begin, end, low[begin:end], label), found, names)
        if value is None and low.startswith("cookie", start):
            cookies = compiled(_COOKIES, ANY_CASE_VERBOSE).match(text, start)
            if cookies is not None and not cookies["cookies"].startswith(MASK_START):
                value = Span(*cookies.span("cookies"), "cookie")
        if value is not None:
            spans.append(value)
            done = value.end
    return spans


def _is_value_itself(text: str, begin: int, end: int) -> bool:
    """True if the name in quotes is itself a value: {"column": "api_key", ...}, but not in ("api_key", "...")."""
    opens = text[max(0, begin - 4) : max(0, begin - 1)].rstrip()[-1:]
    is_pair = opens in ("(", "[", "b", "") or text.startswith("--", begin)
    # {"name": "api_key", "value": "..."}
    return not is_pair and text.find("value", end, end + 12) < 0


def _name_start(text: str, start: int) -> int:
    """The start of the name whose last word begins at *start*."""
    reach = text[max(0, start - 64) : start]
    outside = reach.rstrip(_NAME_CHARACTERS)
    begin = start - len(reach) + len(outside)
    if begin == start:
        # "secret key: ..."; of other names the last word is enough.
        return _name_start(text, start - 1) if outside.endswith(" ") and text[start] in "kKsS" else start
    # An escaped newline in JSON ends in a letter that is not part of the name.
    return begin + 1 if outside.endswith("\\") and text[begin] in "nrt" else begin


def _value(name: Name, found: re.Match[str], names: Names) -> Span | None:
    text = name.text
    kind = found.lastgroup or ""
    begin, end = found.span(kind)
    if kind == "bare":
        # What may be an ordinary word is not read to its end before that is known.
        end = _end(_BARE_WORD if name.is_doubtful else _BARE_END, text, begin)
    elif kind == "option" and not name.is_option:
        end = _end(_PROSE_END, text, begin)
    if not is_secret(name, kind, found, text[begin:end], names):
        return None
    if kind in ("header", "prose"):
        end = _end(_PROSE_END, text, begin)
    elif kind == "bare":
        in_url = text.endswith(_IN_URLS, max(0, name.start - 5), name.start)
        end = _end(_BARE_END if in_url else _BARE_END_OUTSIDE_URLS, text, begin)
    return Span(begin, end, name.label)


def _end(pattern: str, text: str, begin: int) -> int:
    found = compiled(pattern, ANY_CASE_VERBOSE).match(text, begin)
    return begin if found is None else found.end()
