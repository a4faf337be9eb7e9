"""Encrypted fields with the forms, validators and values of Django's own: dates, numbers, e-mail addresses and so on.

Each has its plain field beside EncryptedField, so that forms, the admin and serializers know it; the column is text.
"""

from __future__ import annotations

import warnings
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from datetime import timezone as tz
from functools import partial
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from keyring_core.integrations import values
from keyring_core.integrations.django.fields import EncryptedField, refuse_token


class EncryptedCharField(EncryptedField, models.CharField):  # type: ignore[type-arg]
    """A line of text. *max_length* bounds the value, in forms and by `full_clean`, and not the column."""

    def _check_max_length_attribute(self, **kwargs: Any) -> list[Any]:
        # A column of text needs none.
        return [] if self.max_length is None else super()._check_max_length_attribute(**kwargs)  # type: ignore[misc]  # not in the stubs


class EncryptedEmailField(EncryptedCharField, models.EmailField):  # type: ignore[type-arg]
    """An e-mail address."""


class EncryptedURLField(EncryptedCharField, models.URLField):  # type: ignore[type-arg]
    """A URL."""


class TypedField(EncryptedField):
    """The base of fields whose values are no text, or one that is to be normalised."""

    # Django's words of a plain field show the value.
    default_error_messages = {"invalid": _("Enter a valid value.")}  # noqa: RUF012 - as Django declares it

    def to_python(self, value: Any) -> Any:
        """The value. Its ValidationError is raised outside of the block: the plain field's holds what was given."""
        with suppress(ValidationError, TypeError, ValueError, OverflowError):
            return super().to_python(value)
        raise ValidationError(self.error_messages["invalid"], code="invalid")

    def get_prep_value(self, value: Any) -> Any:
        """The value, also of a text that the plain field would take; what is no value is left for `Cells` to refuse."""
        value = super().get_prep_value(value)
        with suppress(ValidationError):
            return self.to_python(value)
        return value


class EncryptedGenericIPAddressField(TypedField, models.GenericIPAddressField):  # type: ignore[type-arg]
    """An IP address, as text."""

    def get_prep_value(self, value: Any) -> Any:
        """The address; an empty text, as a form without one gives, is NULL as in the plain field."""
        return super().get_prep_value(value) or None


class EncryptedDateField(TypedField, models.DateField):  # type: ignore[type-arg]
    """A date."""

    form = values.DATE


class EncryptedTimeField(TypedField, models.TimeField):  # type: ignore[type-arg]
    """A time without a zone."""

    form = values.TIME


_OF_DATABASE = tz(timedelta(), "of the database")
"""The zone of a text that a database wrote, as before the column was encrypted: UTC, unless its connection has another.

Not known before the cell is read by a connection; a blind index takes it for UTC.
"""


def _write_datetime(value: datetime) -> str:
    return (values.DATETIME if timezone.is_naive(value) else values.ZONED_DATETIME).write(value)


def _read_datetime(text: str) -> datetime:
    value = datetime.fromisoformat(text)
    # Databases write a space, and so do packages that encrypt what Django gives a database; this field writes a T.
    return value.replace(tzinfo=_OF_DATABASE) if text[10:11] == " " and timezone.is_naive(value) else value


class EncryptedDateTimeField(TypedField, models.DateTimeField):  # type: ignore[type-arg]
    """A date and a time: with USE_TZ it is aware, and stored in UTC; otherwise it has no zone, and is one of TIME_ZONE.

    A cell that was written under the other setting is read as the same instant.
    """

    # Each kind is written as what it is: the setting decides which one goes in and comes out.
    form = values.ValueForm("a datetime", partial(values.is_of, (datetime,)), _write_datetime, _read_datetime)

    def to_python(self, value: Any) -> Any:
        """The value; a date is the beginning of its day."""
        if isinstance(value, date) and not isinstance(value, datetime):
            value = self._zoned(datetime.combine(value, time()))
        return super().to_python(value)

    def get_prep_value(self, value: Any) -> Any:
        """The value as USE_TZ wants it. Raises TypeError for an aware one if that is not set."""
        value = super().get_prep_value(value)
        if not isinstance(value, datetime):
            return value
        if not settings.USE_TZ and timezone.is_aware(value):
            raise TypeError(f"{self.cells.column}: takes a datetime without a time zone, since USE_TZ is not set")
        return self._zoned(value)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        """The value in a cell, aware or not as USE_TZ wants it; raises what the other fields raise."""
        value = super().from_db_value(value, expression, connection)
        if value is None:
            return None
        if value.tzinfo is _OF_DATABASE:
            return value.replace(tzinfo=connection.timezone)
        if settings.USE_TZ:
            return self._zoned(value)
        return timezone.make_naive(value, timezone.get_default_timezone()) if timezone.is_aware(value) else value

    def _zoned(self, value: datetime) -> datetime:
        """*value*, made aware as Django does if USE_TZ is set. Django's own warning shows the value."""
        if not settings.USE_TZ or timezone.is_aware(value):
            return value
        warnings.warn(
            f"{self.cells.column}: a datetime without a time zone is taken as one of TIME_ZONE, since USE_TZ is set",
            RuntimeWarning,
            stacklevel=2,
        )
        return timezone.make_aware(value, timezone.get_default_timezone())


class EncryptedDurationField(TypedField, models.DurationField):  # type: ignore[type-arg]
    """A timedelta."""

    form = values.INTERVAL


class EncryptedIntegerField(TypedField, models.IntegerField):  # type: ignore[type-arg]
    """An int of any size."""

    form = values.INTEGER

    @cached_property
    def validators(self) -> list[Any]:
        """Without the bounds that a column of numbers has."""
        return [refuse_token, *self.default_validators, *vars(self)["_validators"]]


class EncryptedFloatField(TypedField, models.FloatField):  # type: ignore[type-arg]
    """A float, but no infinity and no NaN."""

    form = values.FLOAT


class EncryptedBooleanField(TypedField, models.BooleanField):  # type: ignore[type-arg]
    """A bool."""

    form = values.BOOLEAN


class EncryptedDecimalField(TypedField, models.DecimalField):  # type: ignore[type-arg]
    """A Decimal. One with more than *decimal_places* is refused, and never rounded."""

    @property
    def form(self) -> values.ValueForm:  # type: ignore[override]  # it has the places of the field
        """Exactly *decimal_places* digits behind the point."""
        return values.decimal_form(self.decimal_places)


class EncryptedUUIDField(TypedField, models.UUIDField):  # type: ignore[type-arg]
    """A UUID."""

    form = values.UUID_FORM
