"""Finds passwords in command lines, where a short option takes them: ``mysql -pX``, ``curl -u user:X``."""

from __future__ import annotations

from collections.abc import Iterator

from keyring_core.redaction.effort import READ, Effort, rest
from keyring_core.redaction.patterns import compiled
from keyring_core.redaction.spans import Span
from keyring_core.redaction.values import PLACEHOLDER

# An option behind a blank or, in a list of arguments, behind a quote. Its hyphen is first, since C looks for that.
_OPTION = r"""-(?<=[ "']-)(?:[a-zA-Z]{0,5}?(?P<letter>[paPwUub])|-(?P<word>(?:proxy-)?user))"""
# Between two arguments: a blank in a shell; in a list of arguments ', ' or ", ", also in JSON.
_NEXT = r"""(?: {1,4}|\\{0,7}["'], ?\\{0,7}["'])"""
# Not another option, a variable or a redirection. A quoted value may hold blanks.
_VALUE = r"""(?:\\{0,7}["'](?P<quoted>[^"'\r\n\\]{1,256}+)|(?P<bare>[^\s"'\\`$<>|;&(){}=*-][^\s"'\\`|;&]*+))"""
_USER = r"""(?:\\{0,7}["'])?[^\s"'\\:%$/]{1,64}+"""
# After a user's name; with blanks if both are quoted.
_OF_USER = r"""(?P<of_user>[^\s"'\\`$<>{}:/][^\s"'\\]*+(?: [^\s"'\\]++(?=["']))?)"""
# For each option, the programs that take a password by it, and how.
_PROGRAMS = {
    "p": (
        (r"(?:mysql|mariadb)[a-z-]{0,12}", _VALUE),
        (r"sshpass(?=.{1,6}\Z)", f"(?:{_NEXT})?{_VALUE}"),
        ("(?:docker|podman|nerdctl|buildah|skopeo|registry|az) login|mongo[a-z]{0,10}|cqlsh", f"{_NEXT}{_VALUE}"),
    ),
    "a": (("(?:redis|valkey|keydb)-cli", f"{_NEXT}{_VALUE}"),),
    "w": (("ldap[a-z]{3,8}", f"{_NEXT}{_VALUE}"),),
    "P": (("sqlcmd|bcp|ipmitool", f"{_NEXT}{_VALUE}"),),
    "u": (("curl|etcdctl", f"(?:{_NEXT}|=)?{_USER}:{_OF_USER}"),),
    "U": (("smbclient|rpcclient", f"{_NEXT}{_USER}%{_OF_USER}"),),
    "b": (("htpasswd", rf"[a-zA-Z]{{0,4}}(?:{_NEXT}[\w./-]{{1,100}})?{_NEXT}[\w.-]{{1,64}}{_NEXT}{_VALUE}"),),
}
# A program's name is so near, in the same command.
_REACH = 300
_ENDS_OF_COMMANDS = "\r\n|;&"


def find_commands(text: str, effort: Effort) -> Iterator[Span]:
    """The passwords in the command lines of *text*."""
    done = command = -1
    takes: dict[str, str | None] = {}
    for option in compiled(_OPTION).finditer(text):
        start = option.start()
        if start < done:
            continue
        if not effort.step(READ):
            yield rest(text, start)
            return
        begin = max(text.rfind(end, max(0, start - _REACH), start) for end in _ENDS_OF_COMMANDS) + 1
        if begin != command:
            # The names of programs are looked for once in a command, however many options it has.
            command, takes = begin, {}
        letter = "u" if option["word"] else option["letter"]
        if letter not in takes:
            takes[letter] = _value_after(letter, text[max(begin, start - _REACH) : start])
        found = compiled(takes[letter]).match(text, option.end()) if takes[letter] else None
        if found is not None and not compiled(PLACEHOLDER).fullmatch(found[found.lastgroup or 0]):
            done, takes[letter] = found.end(), None
            yield Span(*found.span(found.lastgroup or 0), "password")


def _value_after(letter: str, before: str) -> str | None:
    """How a program that is named in *before* takes a password by the option *letter*, if it does."""
    for programs, value in _PROGRAMS[letter]:
        if compiled(rf"(?<![\w.-])(?:{programs})\\{{0,7}}[\"' ]").search(before):
            return value
    return None
