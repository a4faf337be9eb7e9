"""The options of a url: the driver in use may not know what another one knows, and then a message says what to write.

It shows an option's name and never its value, which may be a secret. Nothing here connects to a server.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from sqlalchemy.engine import URL

from rotation.model.failures import UsageError

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,60}")
"""An option's name. What is not of this form may be a part of a password in which an @ was not encoded."""
LEAVE = "leave it out"


class Instead(NamedTuple):
    """What to do about an option, by its value in small letters; for any *other* value, which is not shown."""

    values: Mapping[str, str]
    other: str


Hint = str | Instead
"""What to do about an option that another driver knows."""


class OfDriver(Protocol):
    """The part of a `rotation.stores.dialect.Dialect` that knows the driver in use."""

    driver: ClassVar[str]
    other_options: ClassVar[Mapping[str, Hint]]

    def try_options(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """As there."""

    def in_time(self, url: URL, seconds: float) -> Mapping[str, Any]:
        """As there."""


def check_options(dialect: OfDriver, url: URL, known: frozenset[str], asked: str) -> None:
    """Raises UsageError if an option of *url* is not *known* to the driver, or has a value that it does not take.

    *asked*: the driver that was named in the url, if any.
    """
    driver = dialect.driver.partition("+")[2]
    if asked not in {"", driver}:
        driver = f"{driver}, which is used instead of {asked},"
    unknown = {name: value for name, value in sorted(url.query.items()) if name not in known}
    if not all(map(NAME.fullmatch, unknown)) or "@" in "".join(map(str, unknown.values())):
        raise UsageError(f"{driver} does not know an option of the url; percent-encode @ : / % in the password")
    if unknown:
        hints = dialect.other_options
        words = [f"{name} ({_words(name, value, known, hints)})" for name, value in unknown.items()]
        raise UsageError(f"{driver} does not know these options of the url: {', '.join(words)}")
    if faults := list(_faults(dialect, url)):
        raise UsageError(f"{driver} does not take the url; look at {', '.join(faults)}")


def _words(name: str, value: object, known: frozenset[str], hints: Mapping[str, Hint]) -> str:
    if name.lower() in known:
        return f"write {name.lower()}"
    hint = hints.get(name.lower(), f"{LEAVE}, or write the name that this driver has for it")
    return hint if isinstance(hint, str) else hint.values.get(str(value).lower(), hint.other)


def _faults(dialect: OfDriver, url: URL) -> Iterator[str]:
    """The options of *url* whose values the driver does not take."""
    if _fault(dialect, url) is None:
        return
    taken, names = url.difference_update_query(url.query), set(url.query)
    if _fault(dialect, taken) is not None:
        # Of a user or a password it may not take every letter.
        yield "port, user and password in it"
        return
    # A key before its certificate, which it has to fit.
    for name in sorted(names, reverse=True):
        more = taken.update_query_dict({name: url.query[name]})
        error = _fault(dialect, more)
        if error is None:
            taken = more
        else:
            yield f"the value of {name}{_reason(error)}"


def _fault(dialect: OfDriver, url: URL) -> Exception | None:
    kind: Any = url.get_dialect()
    driver = kind.import_dbapi()
    try:
        arguments, options = kind(dbapi=driver).create_connect_args(url)
        dialect.try_options(arguments, {**options, **dialect.in_time(url, 1)})
    except Exception as error:
        # A driver's complaint is a TypeError, an AttributeError, or anything else.
        return error
    return None


def _reason(error: Exception) -> str:
    """Of a file that the value names. The driver's other words may show the value."""
    if not isinstance(error, OSError):
        return ""
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return f" ({reason.replace('_', ' ').capitalize()})" if reason else ""
