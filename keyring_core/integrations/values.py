"""How values of a type become the text that is encrypted, and come back: one rule a type, which any program can read.

The text follows ISO 8601, or is decimal digits, or lower case. Equal values have equal text, so that a blind index of
it finds them. Reading takes more than writing makes: other packages write a space between date and time, or `True`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from operator import methodcaller
from typing import Any, TypeVar
from uuid import UUID

T = TypeVar("T")
L = TypeVar("L", datetime, time)

_MOST_DIGITS = 4300
"""As Python allows in an int: the time to read or write more of them grows with their square."""


@dataclass(frozen=True)
class ValueForm:
    """The rule for one type of values. It can be pickled, and holds no value but the members of an enum."""

    words: str
    """The type in messages: `a date`. Forms with the same words, and the same members, are equal."""
    takes: Callable[[Any], bool] = field(compare=False, repr=False)
    write: Callable[[Any], str] = field(compare=False, repr=False)
    """The text of a value that it takes. ValueError and OverflowError, which may show the value, if there is none."""
    read: Callable[[str], Any] = field(compare=False, repr=False)
    """The value of a text. ValueError and OverflowError, which may show the text, if it is none."""
    members: tuple[tuple[str, Any], ...] = field(default=(), repr=False, hash=False)
    """The texts and values of a choice. Members of an enum that is a dataclass, too, have no hash."""

    def text_of(self, value: object, column: str = "") -> str:
        """The text of *value*. Raises TypeError, which shows nothing of it, if it is none of the type.

        The message begins with *column*, such as `users.born: `.
        """
        another = "another " if any(type(each) is type(value) for _, each in self.members) else ""
        fault = f"takes {self.words}, not {another}{type(value).__name__}"
        if self.takes(value):
            try:
                return self.write(value)
            except (ValueError, OverflowError):
                fault = f"takes {self.words}; this one is no such value, not finite, too long or too precise"
        # Outside of `except`: that error may hold the value.
        raise TypeError(f"{column}{fault}")

    def normal(self, text: str) -> str:
        """The one text of the value that *text* stands for; *text* itself if it stands for none."""
        with suppress(ValueError, OverflowError):
            return self.write(self.read(text))
        return text


def is_of(kinds: tuple[type, ...], value: object, *, but: type | tuple[()] = ()) -> bool:
    """True if *value* is of one of *kinds*: what a form takes."""
    return isinstance(value, kinds) and not isinstance(value, but)


# A bool is no number here.
_is_number = partial(is_of, but=bool)


def _is_local(kind: type[datetime | time], value: object) -> bool:
    return isinstance(value, kind) and value.tzinfo is None


def _is_zoned(value: object) -> bool:
    return isinstance(value, datetime) and value.utcoffset() is not None


_write_iso = methodcaller("isoformat")


def _write_in_utc(value: datetime) -> str:
    """The same instant in UTC, since values that are equal have one text."""
    return value.astimezone(UTC).isoformat()


def _read_date(text: str) -> date:
    """The day also of a time, which sqlalchemy-utils writes if it gets one for a date."""
    return datetime.fromisoformat(text).date()


def _read_local(kind: type[L], text: str) -> L:
    return _checked(kind.fromisoformat(text), partial(_is_local, kind))


def _read_zoned(text: str) -> datetime:
    return _checked(datetime.fromisoformat(text), _is_zoned).astimezone(UTC)


def _write_bool(value: bool) -> str:  # noqa: FBT001 - the value itself
    return "true" if value else "false"


_BOOLS = {"true": True, "1": True, "false": False, "0": False}


def _read_bool(text: str) -> bool:
    return _BOOLS[_checked(text.lower(), _BOOLS.__contains__)]


def _write_float(value: float) -> str:
    return repr(_checked(float(value), lambda number: number == value and math.isfinite(number)) + 0.0)  # no -0.0


def _read_float(text: str) -> float:
    return _checked(float(text), math.isfinite)


def _write_decimal(places: int | None, value: Decimal | int) -> str:
    number = _checked(Decimal(value), Decimal.is_finite)
    _, digits, exponent = number.as_tuple()
    if max(abs(number.adjusted()), abs(int(exponent)), len(digits)) > _MOST_DIGITS:
        raise ValueError("too many digits")
    whole, _, fraction = format(number.copy_abs() if number.is_zero() else number, "f").partition(".")  # no -0
    fraction = fraction.rstrip("0")
    if places is not None:
        if len(fraction) > places:
            raise ValueError("more decimal places than the type has")
        fraction = fraction.ljust(places, "0")
    return f"{whole}.{fraction}" if fraction else whole


def _read_decimal(places: int | None, text: str) -> Decimal:
    number: Decimal | None = None
    with suppress(InvalidOperation):
        number = _checked(Decimal(text), Decimal.is_finite)
    if number is None:
        raise ValueError("no decimal number")
    # With the zeros that the type writes; a value that does not fit into its places, of another program, stays.
    with suppress(ValueError):
        return number if places is None else Decimal(_write_decimal(places, number))
    return number


def _write_interval(value: timedelta) -> str:
    sign, value = ("-", -value) if value < timedelta() else ("", value)
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}".rstrip("0") if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours}H{minutes}M{seconds}{fraction}S"


_INTERVAL = re.compile(
    r"(?P<sign>[-+]?)P(?=.)(?:(?P<days>\d+)D)?"
    r"(?:T(?=.)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)(?:[.,](?P<fraction>\d{1,6}))?S)?)?",
    re.ASCII,
)


def _read_interval(text: str) -> timedelta:
    found = _INTERVAL.fullmatch(text)
    if found is None:
        raise ValueError("no duration in days, hours, minutes and seconds")
    days, hours, minutes, seconds = (int(found[name] or 0) for name in ("days", "hours", "minutes", "seconds"))
    value = timedelta(days, seconds, int((found["fraction"] or "").ljust(6, "0")), 0, minutes, hours)
    return -value if found["sign"] == "-" else value


def _is_member(members: tuple[tuple[str, Any], ...], value: object) -> bool:
    return any(each is value or (type(each) is type(value) and each == value) for _, each in members)


def _write_member(members: tuple[tuple[str, Any], ...], value: object) -> str:
    return next(text for text, each in members if each is value or (type(each) is type(value) and each == value))


def _read_member(members: tuple[tuple[str, Any], ...], text: str) -> Any:
    return _checked(dict(members), lambda known: text in known)[text]


def _checked(value: T, holds: Callable[[Any], bool]) -> T:
    """*value*. Raises ValueError unless *holds* says True of it."""
    if not holds(value):
        raise ValueError("none of the type")
    return value


DATE = ValueForm("a date", partial(is_of, (date,), but=datetime), _write_iso, _read_date)
"""`2026-11-29`."""
DATETIME = ValueForm(
    "a datetime without a time zone", partial(_is_local, datetime), _write_iso, partial(_read_local, datetime)
)
"""`2026-11-29T06:12:00`, with microseconds as `.000001` if there are any."""
ZONED_DATETIME = ValueForm("a datetime with a time zone", _is_zoned, _write_in_utc, _read_zoned)
"""`2026-11-29T06:12:00+00:00`: in UTC, whatever the zone was."""
TIME = ValueForm("a time without a time zone", partial(_is_local, time), _write_iso, partial(_read_local, time))
"""`06:12:00`."""
INTEGER = ValueForm("an int", partial(_is_number, (int,)), int.__repr__, int)
"""`-42`."""
FLOAT = ValueForm("a float", partial(_is_number, (int, float)), _write_float, _read_float)
"""`0.1`: the fewest digits that give the number again."""
BOOLEAN = ValueForm("a bool", partial(is_of, (bool,)), _write_bool, _read_bool)
"""`true` or `false`."""
UUID_FORM = ValueForm("a UUID", partial(is_of, (UUID,)), str, UUID)
"""`0f8fad5b-d9cb-469f-a165-70867728950e`."""
INTERVAL = ValueForm("a timedelta", partial(is_of, (timedelta,)), _write_interval, _read_interval)
"""`P1DT2H3M4.5S` in ISO 8601, with days as the largest part; a sign stands before the whole."""


def decimal_form(places: int | None = None) -> ValueForm:
    """`12.50`, without an exponent: with exactly *places* digits behind the point, or with as many as it needs.

    A value that needs more of them raises TypeError.
    """
    words = "a Decimal" if places is None else f"a Decimal with at most {places} decimal places"
    return ValueForm(
        words, partial(_is_number, (int, Decimal)), partial(_write_decimal, places), partial(_read_decimal, places)
    )


def choice_form(words: str, members: Iterable[tuple[str, Any]]) -> ValueForm:
    """Each text of *members* for its value; *words* name the type, such as `a Colour`."""
    known = tuple(members)
    return ValueForm(
        words, partial(_is_member, known), partial(_write_member, known), partial(_read_member, known), known
    )
