"""Values as text: equal ones have one text, which other programs can read, and they come back equal."""

from __future__ import annotations

import datetime as dt
import enum
import pickle
import re
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.utils.dateparse import parse_duration
from hypothesis import given
from hypothesis import strategies as st

from keyring_core.integrations import values
from keyring_core.integrations.values import ValueForm, choice_form, decimal_form
from tests.project.documents import ROOT

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
SAFE = {"min_value": dt.datetime(2, 1, 1), "max_value": dt.datetime(9998, 1, 1)}


class Colour(enum.Enum):
    RED = 1
    GREEN = 2


COLOUR = choice_form("a Colour", Colour.__members__.items())
FORMS: dict[str, tuple[ValueForm, st.SearchStrategy[Any]]] = {
    "date": (values.DATE, st.dates()),
    "datetime": (values.DATETIME, st.datetimes()),
    "zoned": (values.ZONED_DATETIME, st.datetimes(**SAFE, timezones=ZONES)),
    "time": (values.TIME, st.times()),
    "integer": (values.INTEGER, st.integers()),
    "float": (values.FLOAT, st.floats(allow_nan=False, allow_infinity=False)),
    "boolean": (values.BOOLEAN, st.booleans()),
    "decimal": (
        decimal_form(),
        st.decimals(allow_nan=False, allow_infinity=False).filter(lambda d: abs(d.adjusted()) < 4000),
    ),
    "places": (decimal_form(2), st.decimals(-(10**9), 10**9, places=2)),
    "uuid": (values.UUID_FORM, st.uuids()),
    "interval": (values.INTERVAL, st.timedeltas()),
    "choice": (COLOUR, st.sampled_from(Colour)),
}


@pytest.mark.some(4)
@pytest.mark.parametrize("name", FORMS)
@given(data=st.data())
def test_a_value_comes_back_equal_and_of_its_type(name: str, data: st.DataObject) -> None:
    form, strategy = FORMS[name]
    value = data.draw(strategy)
    read = form.read(form.text_of(value))
    assert read == value
    assert type(read) is type(value)
    assert form.normal(form.text_of(value)) == form.text_of(value)


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (values.DATE, dt.date(7, 1, 2), "0007-01-02"),
        (values.DATETIME, dt.datetime(2026, 11, 29, 6, 12), "2026-11-29T06:12:00"),
        (
            values.ZONED_DATETIME,
            dt.datetime(2026, 11, 29, 6, 12, 0, 5, tzinfo=dt.timezone(dt.timedelta(hours=1))),
            "2026-11-29T05:12:00.000005+00:00",
        ),
        (values.TIME, dt.time(6, 12), "06:12:00"),
        (values.INTEGER, -42, "-42"),
        (values.FLOAT, 0.1, "0.1"),
        (values.FLOAT, -0.0, "0.0"),
        (values.FLOAT, 3, "3.0"),
        (values.BOOLEAN, True, "true"),
        (decimal_form(), Decimal("1E+3"), "1000"),
        (decimal_form(), Decimal("12.50"), "12.5"),
        (decimal_form(), Decimal("-0.0"), "0"),
        (decimal_form(2), Decimal("12.5"), "12.50"),
        (decimal_form(2), Decimal("12.5000"), "12.50"),
        (decimal_form(0), Decimal(7), "7"),
        (values.UUID_FORM, UUID("0F8FAD5B-D9CB-469F-A165-70867728950E"), "0f8fad5b-d9cb-469f-a165-70867728950e"),
        (values.INTERVAL, dt.timedelta(days=1, hours=2, minutes=3, seconds=4.5), "P1DT2H3M4.5S"),
        (values.INTERVAL, dt.timedelta(seconds=-1), "-P0DT0H0M1S"),
        (COLOUR, Colour.RED, "RED"),
    ],
)
def test_a_value_has_one_text(form: ValueForm, value: Any, text: str) -> None:
    assert form.text_of(value) == text


@given(st.timedeltas())
def test_an_interval_is_one_of_iso_8601_as_django_reads_it(value: dt.timedelta) -> None:
    assert parse_duration(values.INTERVAL.text_of(value)) == value


@pytest.mark.parametrize(
    ("form", "text", "value"),
    [
        (values.DATE, "2026-11-29T06:12:00.5+00:00", dt.date(2026, 11, 29)),
        (values.ZONED_DATETIME, "2026-11-29 06:12:00+00", dt.datetime(2026, 11, 29, 6, 12, tzinfo=dt.UTC)),
        (values.DATETIME, "2026-11-29 06:12:00", dt.datetime(2026, 11, 29, 6, 12)),
        (values.ZONED_DATETIME, "2026-11-29 06:12:00Z", dt.datetime(2026, 11, 29, 6, 12, tzinfo=dt.UTC)),
        (values.BOOLEAN, "True", True),
        (values.BOOLEAN, "0", False),
        (values.ZONED_DATETIME, "2026-11-29T07:12:00+01:00", dt.datetime(2026, 11, 29, 6, 12, tzinfo=dt.UTC)),
        (decimal_form(2), "12.5", Decimal("12.50")),
        (decimal_form(2), "1.25E+1", Decimal("12.50")),
        (values.UUID_FORM, "0F8FAD5BD9CB469FA16570867728950E", UUID("0f8fad5b-d9cb-469f-a165-70867728950e")),
        (values.INTERVAL, "PT36H", dt.timedelta(days=1.5)),
    ],
)
def test_text_of_other_programs_is_read(form: ValueForm, text: str, value: Any) -> None:
    assert form.read(text) == value
    assert str(form.read(text)) == str(form.read(form.text_of(value)))
    assert form.normal(text) == form.text_of(value)


def test_a_decimal_of_more_places_is_read_as_it_is() -> None:
    assert str(decimal_form(2).read("0.125")) == "0.125"


@pytest.mark.parametrize(
    ("form", "value"),
    [
        (values.DATE, "2026-11-29"),
        (values.DATE, dt.datetime(2026, 11, 29)),
        (values.DATETIME, dt.date(2026, 11, 29)),
        (values.DATETIME, dt.datetime(2026, 11, 29, tzinfo=dt.UTC)),
        (values.ZONED_DATETIME, dt.datetime(2026, 11, 29)),
        (values.ZONED_DATETIME, dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=1)))),
        (values.TIME, dt.time(6, tzinfo=dt.UTC)),
        (values.INTEGER, True),
        pytest.param(values.INTEGER, 10**5000, id="5001 digits"),
        (values.FLOAT, float("nan")),
        (values.FLOAT, float("inf")),
        (values.FLOAT, 2**53 + 1),
        (values.FLOAT, 10**400),
        (values.BOOLEAN, 1),
        (decimal_form(), Decimal("NaN")),
        (decimal_form(), Decimal("1E+5000")),
        (decimal_form(), Decimal("1E-5000")),
        (decimal_form(), 0.5),
        (decimal_form(2), Decimal("0.001")),
        (values.UUID_FORM, "0f8fad5b-d9cb-469f-a165-70867728950e"),
        (values.INTERVAL, 5),
        (COLOUR, "RED"),
        (COLOUR, 1),
    ],
)
def test_a_value_of_another_type_is_refused_without_being_shown(form: ValueForm, value: Any) -> None:
    with pytest.raises(TypeError, match=r"^takes an? ") as caught:
        form.text_of(value)
    assert caught.value.__context__ is None
    message = str(caught.value).replace("at most 2", "")
    assert not re.search(r"\d|RED|nan|NaN|inf(?!inite)|Inf", message.replace("finite", ""))


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("text", ["", "x", "2026-13-01", "Infinity", "P1Y", "PT", "P", "GREY", "1.5.2"])
def test_text_that_stands_for_no_value_is_a_value_error(name: str, text: str) -> None:
    form, _ = FORMS[name]
    with pytest.raises((ValueError, OverflowError)):
        form.read(text)
    assert form.normal(text) == text


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_equal_to_its_pickle_and_to_no_other(name: str) -> None:
    form, _ = FORMS[name]
    assert pickle.loads(pickle.dumps(form)) == form
    assert [other for other, _ in FORMS.values() if other == form] == [form]


def test_a_choice_tells_values_apart_that_are_equal_numbers() -> None:
    form = choice_form("a flag", [("one", 1), ("yes", True)])
    assert (form.text_of(1), form.text_of(True)) == ("one", "yes")


def test_equal_numbers_have_one_text() -> None:
    form = decimal_form()
    assert form.text_of(Decimal("1.0")) == form.text_of(Decimal("1.000")) == form.text_of(1) == "1"


def test_the_message_for_a_text_that_is_no_member_does_not_say_that_it_is_no_text() -> None:
    with pytest.raises(TypeError, match=r"^takes one of new, paid, not another str$"):
        choice_form("one of new, paid", [("new", "new"), ("paid", "paid")]).text_of("old")


def test_a_form_of_members_without_a_hash_has_one() -> None:
    class Fee(enum.Enum):
        LOW = 1

        __hash__ = None  # type: ignore[assignment]

    assert hash(choice_form("a Fee", Fee.__members__.items()))


PAGE = (ROOT / "docs" / "reference" / "values-as-text.md").read_text()
ROWS = {
    "a date": values.DATE,
    "a datetime without a time zone": values.DATETIME,
    "a datetime with a time zone": values.ZONED_DATETIME,
    "a time without a time zone": values.TIME,
    "a duration": values.INTERVAL,
    "an integer": values.INTEGER,
    "a float": values.FLOAT,
    "a decimal number with two places": decimal_form(2),
    "a decimal number without a number of places": decimal_form(),
    "a boolean": values.BOOLEAN,
    "a UUID": values.UUID_FORM,
}


def test_the_page_has_the_text_of_each_type() -> None:
    """docs/reference/values-as-text.md: each text is written so, and each other one is read as one of them."""
    rows = [[each.strip() for each in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:2] == "| "]
    named = {name: (re.findall("`(.*?)`", text), re.findall("`(.*?)`", other)) for name, text, other in rows[1:]}

    assert {*named} == {*ROWS, "a choice, or a member of an enum", "text"}
    for name, form in ROWS.items():
        texts, others = named[name]
        assert (name, [form.text_of(form.read(text)) for text in texts]) == (name, texts)
        assert others
        for other in others:
            assert other not in texts
            assert (name, other, form.text_of(form.read(other)) in texts) == (name, other, True)
