"""The options of a url: the driver in use may not know what another one knows, and then a message says what to write.

It shows an option's name and never its value, which may be a secret. Nothing here connects to a server.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

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


def by_name(*hints: tuple[Hint, str]) -> dict[str, Hint]:
    """What to do about each option, by its name in small letters; each of *hints* stands before the names it is for."""
    return {name: hint for hint, names in hints for name in names.split()}


class UrlOptions:
    """Checks the options of a url, as a database's driver knows them."""

    driver: ClassVar[str]
    other_options: ClassVar[Mapping[str, Hint]] = {}
    """What to do about options of a url that other drivers know, by their names in small letters."""
    _asked: str = ""
    """The driver that the url names."""

    def options(self) -> frozenset[str]:
        """The options of a url that the driver of a server knows."""
        raise NotImplementedError

    def try_options(self, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Hands the driver what it is to connect with, and connects to nothing. Raises whatever the driver raises."""

    def in_time(self, url: URL, seconds: float) -> Mapping[str, Any]:
        """The driver's options, beyond *url*, with which a connection is made in *seconds* or not at all."""
        del url, seconds
        return {}

    def check_options(self, url: URL) -> None:
        """Raises UsageError if the driver does not know an option of *url*, or does not take the value of one."""
        known, driver = self.options(), self.driver.partition("+")[2]
        if self._asked not in {"", driver}:
            driver = f"{driver}, which is used instead of {self._asked},"
        unknown = {name: value for name, value in sorted(url.query.items()) if name not in known}
        if not all(map(NAME.fullmatch, unknown)) or "@" in "".join(map(str, unknown.values())):
            raise UsageError(f"{driver} does not know an option of the url; percent-encode @ : / % in the password")
        if unknown:
            words = [f"{name} ({_words(name, value, known, self.other_options)})" for name, value in unknown.items()]
            raise UsageError(f"{driver} does not know these options of the url: {', '.join(words)}")
        if faults := list(self._faults(url)):
            raise UsageError(f"{driver} does not take the url; look at {', '.join(faults)}")

    def _faults(self, url: URL) -> Iterator[str]:
        """The options of *url* whose values the driver does not take."""
        if self._fault(url) is None:
            return
        taken, names = url.difference_update_query(url.query), set(url.query)
        if self._fault(taken) is not None:
            # Of a user or a password it may not take every letter.
            yield "port, user and password in it"
            return
        # A key before its certificate, which it has to fit.
        for name in sorted(names, reverse=True):
            more = taken.update_query_dict({name: url.query[name]})
            error = self._fault(more)
            if error is None:
                taken = more
            else:
                yield f"the value of {name}{_reason(error)}"

    def _fault(self, url: URL) -> Exception | None:
        kind: Any = url.get_dialect()
        driver = kind.import_dbapi()
        try:
            arguments, options = kind(dbapi=driver).create_connect_args(url)
            self.try_options(arguments, {**options, **self.in_time(url, 1)})
        except Exception as error:
            # A driver's complaint is a TypeError, an AttributeError, or anything else.
            return error
        return None


def _words(name: str, value: object, known: frozenset[str], hints: Mapping[str, Hint]) -> str:
    if name.lower() in known:
        return f"write {name.lower()}"
    hint = hints.get(name.lower(), f"{LEAVE}, or write the name that this driver has for it")
    return hint if isinstance(hint, str) else hint.values.get(str(value).lower(), hint.other)


def _reason(error: Exception) -> str:
    """Of a file that the value names. The driver's other words may show the value."""
    if not isinstance(error, OSError):
        return ""
    reason = error.reason if isinstance(error, ssl.SSLError) else error.strerror
    return f" ({reason.replace('_', ' ').capitalize()})" if reason else ""
