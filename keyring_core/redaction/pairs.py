"""Names that announce a secret within text: ``password=...``, ``"token": "..."``, ``--api-key ...``."""

from __future__ import annotations

from functools import cache

from keyring_core.redaction.names import Names
from keyring_core.redaction.patterns import ANY_CASE_VERBOSE, compiled
from keyring_core.redaction.spans import MASK_START, Span

# Of a gate and of a text, what is compared first: a text is a fifth as long so, and many searches take less time.
_TELLING = b"pswdcktyojx"
_UNTELLING = bytes(set(range(256)) - set(_TELLING))


def _reduced(low: bytes) -> str:
    return low.translate(None, _UNTELLING).decode()


# One of these stands in the last word of every name that announces a secret. Behind each, what a text holds then,
# reduced: for a word that says nothing by itself, also what is left of the words before it.
_GATES = (
    ("pass", "pss"),
    ("pw", "pw"),
    ("secret", "sct"),
    ("token", "tok"),
    ("cred", "cd"),
    ("cookie", "cook"),
    ("key", "ky"),
    ("jwt", "j"),
    ("otp", "otp"),
    ("text", "txt"),
    ("string", "coctost"),
)


@cache
def _gates(own: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, str], ...]:
    """All gates: ours, and the last words of a service's *own* names."""
    return (*_GATES, *((name[-1], _reduced("".join(name).encode())) for name in own if name))


_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_LONGEST_NAME = 64
_END = r"""(?=[\s&;,"'`<>()\[\]{}|\\]|$)"""

_WORD = r"(?P<word>[a-z]{1,40}+\d{0,3})"
_QUOTED = r"""b?(?P<quote>\\{0,7}["'`])(?!(?P=quote))(?P<quoted>[\s\S]+?)(?:(?<!\\)(?P=quote)|$)"""
# What a value without quotes is made of.
_BARE = r"""(?:[^\s&;,"'`<>()\[\]{}|\\]|(?!\\[nrtu"'])\\)"""

# A value is taken to its end, however long it is. The work is linear all the same: a quoted value ends at the next
# quote of its kind, where the next one begins; others hold no blank, bracket or quote, which stands before each.
_PATTERN = rf"""
    {_WORD}
    (?:
        # name="value", 'name': b'value', {{\"name\": \"value\"}} inside a JSON string
        (?:\\{{0,7}}["'`])?\]? \s?(?:=>|:=|=|:)\s{{0,2}} {_QUOTED}
      # name=value, not code: name=call(...), name=some.attribute
      | (?:\\{{0,7}}["'`])?\]? \s?(?:=>|=)(?!=)\s?
                (?!\$\{{|%\(\w{{1,64}}\)s)(?![A-Za-z_][\w.]{{0,80}}[(\[])(?![a-z_]{{1,40}}(?:\.[a-z_]{{1,40}}){{1,8}}{_END})
        # one character, for a value can hold names and values of its own: the rest of a secret is found by _BARE_END
        (?P<bare>{_BARE})
      # Name: value, where the value is no word of a sentence
      | :[ ](?P<header>(?=\S{{0,64}}[0-9])(?=\S{{0,64}}[A-Za-z])[^\s,;"'`<>()\[\]{{}}\\]{{8,}}+)
      # <name>value</name>
      | >(?P<element>[^<>\s][^<>]*+)</
      # --name value
      | [ ](?P<option>(?=[^\s"']*[^a-z\s"'])[^\s"'\\]++)
      # ALTER USER u PASSWORD 'value', but not a parser's unexpected token '<'
      | (?<=password)[ ]'(?P<literal>[^'\n]++)'
    )
"""
_BARE_END = f"{_BARE}++"
# '--name', 'value' in a list, --name 'value' in a shell
_ARGUMENT = rf"""{_WORD}(?:\\{{0,7}}["'],\s?|[ ]){_QUOTED.replace("quoted", "argument")}"""
_COOKIES = r"""cookies?["'\\]{0,8}\s?[:=]\s?["'\\b]{0,8}(?P<cookies>[\w.-]{1,64}=[^\r\n"'\\]++)"""
# Says that there is, or will be, a value, and holds none.
_NO_VALUE = r"""none|null|nil|true|false|undefined|yes|no|on|off|empty|missing|required|optional|unset
    |not-set|hidden|[*]+|x{3,}
    |[^\w\x80-\xff]{1,3}|[.]{4,}|%s|%\(\w+\)s|\{[\w.!:]*\}|\$\{?[A-Z_]+\}?|\$\d|<[\w -]+>|[:@][a-z_]+"""
_NUMBER = r"-?\d+(?:\.\d+)?"


# Of --plaintext and --cleartext, before the word that tells.
_SWITCHES = frozenset({"--plain", "--clear"})


def find_pairs(text: str, low: str, squeezed: bytes, names: Names) -> list[Span]:
    """Where *text* gives a secret's name and its value.

    *low* and *squeezed* are *text* in lower case, as text and as the matchers see it.
    """
    spans: list[Span] = []
    reduced = _reduced(squeezed)
    for gate in [gate for gate, telling in _gates(names.own) if telling in reduced]:
        start = low.find(gate)
        while start >= 0:
            pair = _pair_at(text, start, names)
            if pair is not None:
                spans.append(pair)
            # What a pair covers holds no other pair; searching it again would be quadratic.
            start = low.find(gate, pair.end if pair is not None else start + len(gate))
    return spans


def _pair_at(text: str, start: int, names: Names) -> Span | None:
    """The value whose name's last word begins at *start*."""
    found = compiled(_PATTERN, ANY_CASE_VERBOSE).match(text, start)
    if found is None and text.find("--", max(0, start - _LONGEST_NAME), start) >= 0:
        found = compiled(_ARGUMENT, ANY_CASE_VERBOSE).match(text, start)
    if found is not None:
        kind = found.lastgroup or ""
        before = _name_before(text, start)
        label = names.label(before + found["word"])
        if label and _fits(kind, before, text, start):
            begin, end = found.span(kind)
            if kind == "bare" and (rest := compiled(_BARE_END).match(text, begin)):
                end = rest.end()
            if _is_value(kind, text[begin:end], names):
                return Span(begin, end, label)
    elif text[start] in "cC":
        found = compiled(_COOKIES, ANY_CASE_VERBOSE).match(text, start)
        if found is not None and not found["cookies"].startswith(MASK_START):
            return Span(*found.span("cookies"), "cookie")
    return None


def _name_before(text: str, start: int) -> str:
    """The characters of the name that stand before *start*."""
    reach = text[max(0, start - _LONGEST_NAME) : start]
    outside = reach.rstrip(_NAME_CHARACTERS)
    name = reach[len(outside) :]
    # A newline in JSON ends in a letter that is no part of the name.
    return name[1:] if outside.endswith("\\") and name[:1] in ("n", "r", "t") else name


def _fits(kind: str, before: str, text: str, start: int) -> bool:
    """Whether a name may give its value in this *kind* of way: after ``--``, between angle brackets, or in SQL."""
    if kind in ("option", "argument"):
        # --no-password and --plaintext are switches: what follows is another argument.
        return before.startswith("--") and not before.startswith("--no-") and before.lower() not in _SWITCHES
    if kind == "element":
        return text.startswith("<", max(0, start - len(before) - 1))
    return kind != "literal" or not before or before.startswith("--")


def _is_value(kind: str, value: str, names: Names) -> bool:
    """Whether *value* can be a secret: a number outside quotes, a placeholder or a variable's name is none."""
    if value.startswith(MASK_START) or compiled(_NO_VALUE, ANY_CASE_VERBOSE).fullmatch(value):
        return False
    if kind == "bare":
        return not (compiled(_NUMBER).fullmatch(value) or (value.isidentifier() and names.label(value)))
    return True
