"""The promises of encrypted columns of dates, numbers and other values: one test each, which each ORM's driver runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyring_core import PlaintextError
from tests.conftest import Named

Column = tuple[st.SearchStrategy[Any], Any, str]
"""Any value; one of them; and the text that its cell holds."""
# A day from either end, which another zone would leave.
MOMENTS = st.datetimes(
    dt.datetime(1, 1, 3), dt.datetime(9999, 12, 29), timezones=st.timezones() | st.just(dt.UTC), allow_imaginary=False
)
NUMBER = "0f8fad5b-d9cb-469f-a165-70867728950e"
CET = dt.timezone(dt.timedelta(hours=1))
COLUMNS: dict[str, Column] = {
    "born": (st.dates(), dt.date(1984, 2, 29), "1984-02-29"),
    "seen": (MOMENTS, dt.datetime(2026, 11, 29, 7, 12, tzinfo=CET), "2026-11-29T06:12:00+00:00"),
    "wakes": (st.times(), dt.time(6, 12), "06:12:00"),
    "shift": (st.timedeltas(), dt.timedelta(days=1, seconds=2), "P1DT0H0M2S"),
    "age": (st.integers(), -42, "-42"),
    "score": (st.floats(allow_nan=False, allow_infinity=False), 0.1, "0.1"),
    "active": (st.booleans(), True, "true"),
    "income": (st.decimals(-999999, 999999, places=2), Decimal("12.5"), "12.50"),
    "ref": (st.uuids(), UUID(NUMBER), NUMBER),
}
"""The columns that each ORM declares: a driver adds those of its own types."""
WORDS = {
    "born": "a date",
    "seen": "a datetime",
    "wakes": "a time",
    "shift": "a timedelta",
    "age": "an int",
    "score": "a float",
    "active": "a bool",
    "income": "a Decimal with at most 2 decimal places",
    "ref": "a UUID",
}
SECRET = "a secret of 4242"
WRONG: list[tuple[str, Any]] = [
    *((name, SECRET) for name in WORDS),
    ("born", 5),
    ("wakes", dt.time(6, tzinfo=dt.UTC)),
    ("age", 10**5000),
    ("score", float("nan")),
    ("income", Decimal("42.42000001")),
]
SPELLINGS: dict[str, list[str]] = {
    "seen": ["2026-11-29 06:12:00+00:00", "2026-11-29 07:12:00+01", "2026-11-29T06:12:00Z"],
    "wakes": ["06:12", "06:12:00.000000"],
    "active": ["True", "1"],
    "score": ["1e-1"],
    "income": ["12.5", "12.5000"],
    "ref": [NUMBER.replace("-", "")],
}
EXAMPLES = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)


class TypedDriver(Protocol):
    """A table with COLUMNS and those of one ORM."""

    table: str
    columns: Mapping[str, Column]
    database: Any
    required: Sequence[str] = ()
    """The columns that are never NULL."""
    wrong: Sequence[tuple[str, Any, str]] = ()
    """Columns of the ORM's own types, values that they do not take, and words of the error."""
    unreadable: Sequence[tuple[str, str, str]] = ()
    """And texts of which they have no value."""

    def new(self, **values: Any) -> Any:
        """The primary key of a new row."""

    def read(self, key: Any, *names: str) -> list[Any]:
        """The values of that row, as another session reads them."""

    def token(self, name: str, text: str) -> str | bytes:
        """A cell of the column with that *text*."""

    def text(self, name: str, cell: Any) -> str:
        """What the cell of the column holds."""

    def writes(self, name: str, value: Any) -> Sequence[Callable[[], object]]:
        """Ways to write the value, into new rows and into one that is there."""


class TypedContract:
    """A subclass has the fixture `orm`, a driver whose table is empty; the keys of the process are NEW and OLD."""

    @EXAMPLES
    @given(data=st.data())
    def test_any_value_comes_back(self, orm: TypedDriver, data: st.DataObject) -> None:
        """Any value of each type comes back equal, and of its class."""
        values = data.draw(st.fixed_dictionaries({name: any_value for name, (any_value, _, _) in orm.columns.items()}))
        read = dict(zip(values, orm.read(orm.new(**values), *values), strict=True))

        # Python finds no datetime of an hour that occurs twice equal to one of another zone.
        values["seen"] = values["seen"].astimezone(dt.UTC)
        for name, value in values.items():
            assert (name, type(read[name]), read[name]) == (name, type(value), value)
        assert read["seen"].utcoffset() == dt.timedelta()

    def test_a_cell_is_a_token_of_one_text(self, orm: TypedDriver) -> None:
        """The text that docs/reference/values-as-text.md names, which any program can read; NULL for None."""
        orm.new(**{name: value for name, (_, value, _) in orm.columns.items()})
        cells = {name: orm.database.rows(f"SELECT {name} FROM {orm.table}")[0][0] for name in orm.columns}
        nullable = [name for name in orm.columns if name not in orm.required]
        empty = orm.new(**dict.fromkeys(nullable))

        held = {name: orm.text(name, cell) for name, cell in cells.items()}
        assert held == {name: text for name, (_, _, text) in orm.columns.items()}
        assert orm.read(empty, *nullable) == [None] * len(nullable)
        for name in nullable:
            assert orm.database.rows(f"SELECT count({name}) FROM {orm.table}") == [(1,)]

    def test_a_value_of_another_type_is_refused(self, orm: TypedDriver, named: Named) -> None:
        """In one row, in many, and in one that is there: with the column and the type, and without the value."""
        for name, value, words in [*((name, value, WORDS[name]) for name, value in WRONG), *orm.wrong]:
            for number, write in enumerate(orm.writes(name, value)):
                with named(name, words, number):
                    with pytest.raises(TypeError) as caught:
                        write()

                    assert str(caught.value).startswith(f"{orm.table}.{name}: takes {words}")
                    assert "42" not in str(caught.value)
                    assert caught.value.__context__ is None

    def test_a_cell_of_something_else_is_refused(self, orm: TypedDriver, named: Named) -> None:
        """The token opens, and what it holds is no such value: the error has the column and the type alone."""
        key = orm.new()
        for name, text, expected in [*((name, SECRET, words) for name, words in WORDS.items()), *orm.unreadable]:
            with named(name):
                self.put(orm, name, text)
                with pytest.raises(PlaintextError) as caught:
                    orm.read(key, name)

                words = f"{orm.table}.{name}: the cell opens, but what it holds is not {expected}"
                assert str(caught.value).startswith(words)
                assert "42" not in str(caught.value)
                assert caught.value.__context__ is None

    def test_other_spellings_are_read(self, orm: TypedDriver, named: Named) -> None:
        """Texts as other packages and databases write them are read as the same value."""
        key = orm.new()
        for name, texts in SPELLINGS.items():
            for text in texts:
                with named(name, text):
                    self.put(orm, name, text)

                    assert orm.read(key, name) == [COLUMNS[name][1]]

    def put(self, orm: TypedDriver, name: str, text: str) -> None:
        orm.database.execute(f"UPDATE {orm.table} SET {name} = :cell", cell=orm.token(name, text))
