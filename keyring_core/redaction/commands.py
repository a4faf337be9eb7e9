"""Finds passwords in command lines, where a short option takes them: ``mysql -pX``, ``curl -u user:X``."""

from __future__ import annotations

from collections.abc import Iterator

from keyring_core.redaction.effort import READ, Limit, bounded, rest
from keyring_core.redaction.patterns import Fields, compiled
from keyring_core.redaction.sensitive_values import PLACEHOLDER
from keyring_core.redaction.spans import Span

# An option behind a blank or, in a list of arguments, behind a quote. Its hyphen is first, since C looks for that.
_OPTION = r"""-(?<=[ "']-)(?:[a-zA-Z]{0,5}?(?P<letter>[paPwUub])|-(?P<word>(?:proxy-)?user))"""
# Between two arguments: a blank in a shell; in a list of arguments ', ' or ", ", also in JSON.
_NEXT = r"""(?: {1,4}|\\{0,7}["'], ?\\{0,7}["'])"""
# Not another option, a variable or a redirection. A quoted value may hold blanks.
_VALUE = r"""(?:\\{0,7}["'](?P<quoted>[^"'\r\n\\]{1,256}+)|(?P<bare>[^\s"'\\`$<>|;&(){}=*-][^\s"'\\`|;&]*+))"""
_USER = r"""(?:\\{0,7}["'])?[^\s"'\\:%$/]{1,64}+"""
# After a user's name; with blanks if both are quoted.
_OF_USER = r"""(?P<of_user>[^\s"'\\`$<>{}:/][^\s"'\\]*+(?: [^\s"'\\]++(?=["']))?)"""
# The programs, the option by which each takes a password, and the password behind the option.
_PROGRAMS = (
    (r"(?:mysql|mariadb)[a-z-]{0,12}", "p", _VALUE),
    ("sshpass(?=.{1,6}-p)", "p", f"(?:{_NEXT})?{_VALUE}"),
    ("(?:docker|podman|nerdctl|buildah|skopeo|registry|az) login|mongo[a-z]{0,10}|cqlsh", "p", f"{_NEXT}{_VALUE}"),
    ("(?:redis|valkey|keydb)-cli", "a", f"{_NEXT}{_VALUE}"),
    ("ldap[a-z]{3,8}", "w", f"{_NEXT}{_VALUE}"),
    ("sqlcmd|bcp|ipmitool", "P", f"{_NEXT}{_VALUE}"),
    ("curl|etcdctl", "u", f"(?:{_NEXT}|=)?{_USER}:{_OF_USER}"),
    ("smbclient|rpcclient", "U", f"{_NEXT}{_USER}%{_OF_USER}"),
    ("htpasswd", "b", rf"[a-zA-Z]{{0,4}}(?:{_NEXT}[\w./-]{{1,100}})?{_NEXT}[\w.-]{{1,64}}{_NEXT}{_VALUE}"),
)
# "--name mysql" and "status mysql" run no such program.
_ANY_PROGRAM = (
    r"(?<![\w.-])(?<!name )(?<!status )(?:" + "|".join(f"({name})" for name, _, _ in _PROGRAMS) + r")(?=\\{0,7}[\"' ])"
)
# Neither a mask, a placeholder nor a port is one: docker run -p 80:80.
_NO_PASSWORD = rf"\[REDACTED:[\s\S]*|{PLACEHOLDER}|[\d.]*:?\d+:\d+(?:/\w+)?"


def find_commands(text: str, limit: Limit = bounded) -> Iterator[Span]:
    """The passwords in the command lines of *text*."""
    if not compiled(r"""-(?<=[ "']-)[a-zA-Z-]""").search(text):
        return
    done = 0
    effort = limit(len(text))
    fields = Fields(text)
    for program in compiled(_ANY_PROGRAM).finditer(text):
        # Its options are near, in the same command.
        start, end = program.end(), program.end() + 300
        other_command = compiled(r"[\r\n|;&]").search(text, start, end)
        end = end if other_command is None else other_command.start()
        _, letter, password = _PROGRAMS[(program.lastindex or 1) - 1]
        for option in compiled(_OPTION).finditer(text, max(start, done), end):
            if not effort.step(READ):
                yield rest(text, option.start())
                return
            if ("u" if option["word"] else option["letter"]) != letter:
                continue
            found = fields.match(compiled(password), option.end(), option.end())
            if found is not None and not compiled(_NO_PASSWORD).fullmatch(found[found.lastgroup or 0]):
                done = found.end()
                yield Span(*found.span(found.lastgroup or 0), "password")
                break
