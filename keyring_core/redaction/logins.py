"""Finds passwords in ``user:password@host`` without a scheme, as in command lines and clients' messages."""

from __future__ import annotations

from collections.abc import Iterator

from keyring_core.redaction.ordinary import PLACEHOLDER, is_ordinary
from keyring_core.redaction.patterns import ANY_CASE, compiled
from keyring_core.redaction.spans import Span

_LONGEST = 320
_ENDS_WORDS = r"\s\"'`<>()\[\]{},;|\\"
_LAST_PART = rf"[^{_ENDS_WORDS}]+"
# The text before the last word.
_BEFORE = rf"(?:[\s\S]*[{_ENDS_WORDS}])?"
_LOGIN = r"(?:[\w.-]{1,64}=)?(?P<user>[A-Za-z_][\w.+-]{0,63}):(?P<hide>[^/]+)"
# A name or an address; not a digest or version, as in "tag@sha256:5f0c" and "package@v1.2".
_HOST = r"@(?!v?\d+(?:\.\d+){0,2}(?![\w.])|sha\d+:)[a-z0-9\[]"
# An address follows these: "mail:bob7@example.com".
_ADDRESSED = frozenset(
    """
    account acct author bcc by cc contact email from id login mail mailto member npm owner principal recipient
    reply-to sender sip sips to uid upn user username xmpp
    """.split()  # noqa: SIM905 - as in registrable.py
)
_MAILBOX = r"[A-Za-z]+(?:[._+-][A-Za-z]+)*[._+-]?\d{0,4}"


def find_logins(text: str) -> Iterator[Span]:
    """The passwords in *text* between a user's name and a host."""
    at = text.find("@")
    while at >= 0:
        start = max(0, at - _LONGEST)
        colon = text.rfind(":", start, at)
        if (
            colon >= 0
            and compiled(_LAST_PART).fullmatch(text, colon + 1, at)
            and compiled(_HOST, ANY_CASE).match(text, at)
        ):
            before = compiled(_BEFORE).match(text, start, at)
            found = compiled(_LOGIN).fullmatch(text, before.end() if before else start, at)
            if found is not None and _is_password(found["hide"], found["user"]):
                yield Span(*found.span("hide"), "password")
        at = text.find("@", at + 1)


def _is_password(value: str, user: str) -> bool:
    """Whether *value* can be a password, and is no placeholder, tag or mailbox."""
    if compiled(PLACEHOLDER).fullmatch(value) or is_ordinary(value, "password"):
        return False
    return user.lower() not in _ADDRESSED or not compiled(_MAILBOX).fullmatch(value)
