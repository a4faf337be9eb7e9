"""Collected lines that are not harmless: they show a credential, as an example or for a test, and have to be masked."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_NAME = r"(?:password|passwd|pwd|passphrase|token|secret|key|cookie|credential|plaintext|string)s?_?\d?"
_SHOWN = re.compile(
    rf"""
    # A quoted value of a sensitive name. Placeholders stay, and so does a quote that closes: 'Password: ', stream
    {_NAME}["'`]?\]?\s?[:=]{{1,2}}>?\s?[bf]?["'`](?![{{%*\s,)\]])[^"'`]
    | key=NEW
    # Headers with a value, tokens of badges, signed values, keys of an API.
    | Authorization:\ (?:Bearer|Token)\ \w | Cookie:\ \w+=\w | [?&]token=\w | \beyJ\w | sk-live-
    # Logins: in URLs, in connection strings, in calls, in options.
    | ://[^\s/:@]*:[^\s/@]+@ | :some/key@ | scott:tiger | PWD=\w+" | PWD=tiger | passwd\ anonymous@
    | set_?password\(["'] | validate_passwords\( | -u\ \w+:\w | --tlspassword\ pwd
    # Passwords in SQL, and the parameters of SQLAlchemy's statements, which are always masked.
    | password\ '\w | PASSWORD\ 'SCRAM
    | \[(?:generated\ in|cached\ since|raw\ sql|no\ key|caching\ disabled|insertmanyvalues)[^\]]*\]
      \ (?!\[SQL\ parameters\ hidden)
    """,
    re.VERBOSE | re.IGNORECASE,
)


def harmless(lines: Iterable[str]) -> Iterator[str]:
    """The *lines* that show no credential."""
    return (line for line in lines if not _SHOWN.search(line))
