"""A field that holds the blind index of an encrypted field, by which rows are found."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.lookups import In, Lookup

from keyring_core.blind_index import LENGTH, BlindIndex, IndexText
from keyring_core.config import get_keyring
from keyring_core.integrations.django.checks import faults_of_index
from keyring_core.integrations.django.columns import EncryptedComparisonError, WrittenAsGiven
from keyring_core.integrations.django.fields import EncryptedField, public_path
from keyring_core.keys import check_context


class IndexAttribute:
    """The attribute of an instance: the index of what its encrypted field holds now, whatever is assigned here."""

    def __init__(self, field: BlindIndexField) -> None:
        self.field = field

    def __get__(self, instance: models.Model | None, owner: type[models.Model]) -> Any:
        return self if instance is None else self.field.index_of(instance)

    def __set__(self, instance: models.Model, value: object) -> None:
        # Without a value Django takes the field for a deferred one, and does not write it.
        instance.__dict__[self.field.attname] = value


class BlindIndexField(WrittenAsGiven, models.CharField):  # type: ignore[type-arg]
    """The blind index of the encrypted field *of*, filled by itself: `filter(email_index="a@b.c")` finds its rows."""

    descriptor_class = IndexAttribute

    def __init__(self, of: str, *args: Any, context: str | bool = True, **kwargs: Any) -> None:
        """*context* names the index; True, the default, is the table and column of the encrypted field."""
        if isinstance(context, str):
            check_context(context)
        kwargs["max_length"], kwargs["editable"], kwargs["serialize"] = LENGTH, False, False
        kwargs.setdefault("null", True)
        kwargs.setdefault("blank", True)
        kwargs.setdefault("db_index", not kwargs.get("unique"))
        super().__init__(*args, **kwargs)
        self.db_index: bool
        self.of = of
        self._context = context

    @property
    def context(self) -> str:
        """The name under which the index's keys are derived."""
        return self._context if isinstance(self._context, str) else self.source.cells.column

    @property
    def source(self) -> EncryptedField:
        """The field that this is the index of."""
        found = self.model._meta.get_field(self.of)
        assert isinstance(found, EncryptedField)  # noqa: S101 - check E005 says it in words
        return found

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """The field for a migration."""
        name, path, args, kwargs = super().deconstruct()
        for each in ("max_length", "editable", "serialize", "null", "blank", "db_index"):
            kwargs.pop(each, None)
        if not self.null:
            kwargs["null"] = False
        if not self.blank:
            kwargs["blank"] = False
        if self.db_index is self.unique:
            kwargs["db_index"] = self.db_index
        kwargs["of"] = self.of
        if isinstance(self._context, str):
            kwargs["context"] = self._context
        return name, public_path(path), [*args], kwargs

    def check(self, **kwargs: Any) -> list[Any]:
        """Django's own checks, and whether *of* names an encrypted field."""
        return [*super().check(**kwargs), *faults_of_index(self)]

    def index_of(self, instance: models.Model) -> IndexText | None:
        """The index to store with *instance*, under the primary key."""
        source, held = self.source, instance.__dict__
        if source.attname not in held and self.attname in held:
            # The value is deferred, and so is what it was when the index was stored.
            stored = held[self.attname]
            return None if stored is None else IndexText(stored)
        return self._index(getattr(instance, source.attname))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001 - Django's
        """The index to store. Defined here so that `update_or_create` adds the field to what it writes."""
        return super().pre_save(model_instance, add)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - Django's
        """The text to store or to compare with: the index of *value*, or *value* if it is an index."""
        index = self._index(self.get_prep_value(value))
        return None if index is None else str(index)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:  # noqa: ARG002 - Django's
        """The index, which can be given to `filter` again."""
        return None if value is None else IndexText(value)

    def get_lookup(self, lookup_name: str) -> Any:
        """`exact`, `in` and `isnull`. Raises EncryptedComparisonError for all others."""
        if lookup_name == "isnull":
            return super().get_lookup(lookup_name)
        if lookup_name in LOOKUPS:
            return LOOKUPS[lookup_name]
        raise EncryptedComparisonError(
            f'{self.model._meta.db_table}.{self.column}: a blind index finds equal values; the lookup "{lookup_name}" '
            "cannot work on it: exact, in and isnull do"
        )

    def each(self, value: Any) -> list[IndexText]:
        """The indexes that an equal value may have: one text for each key."""
        if isinstance(value, IndexText):
            return [value]
        plaintext = self.source.cells.plaintext_of(value)
        return [IndexText(text) for text in BlindIndex(self.context).each(get_keyring(), plaintext)]

    def _index(self, value: Any) -> IndexText | None:
        if value is None or isinstance(value, IndexText):
            return value
        if hasattr(value, "resolve_expression"):
            raise EncryptedComparisonError(
                f"{self.source.cells.column}: {self.name} cannot be computed of an expression; give a value"
            )
        return IndexText(BlindIndex(self.context).of(get_keyring(), self.source.cells.plaintext_of(value)))


class _OfValues(Lookup):
    """Compares an index with the indexes of values, computed when the query runs, under the keys of that time."""

    prepare_rhs = False

    def __init__(self, lhs: Any, rhs: Any) -> None:
        # A QuerySet, too, is an expression: to iterate over it would run it.
        expression = hasattr(rhs, "resolve_expression")
        if self.lookup_name == "in" and not expression:
            expression = any(hasattr(value, "resolve_expression") for value in rhs)
        if expression:
            field = lhs.output_field
            raise EncryptedComparisonError(
                f"{field.model._meta.db_table}.{field.column}: compare a blind index with values; "
                "another column's index has other keys"
            )
        super().__init__(lhs, rhs)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """IN, over the index of each value under each key."""
        values = self.rhs if self.lookup_name == "in" else [self.rhs]
        texts = [text for value in values if value is not None for text in self.lhs.output_field.each(value)]
        return In(self.lhs, texts).as_sql(compiler, connection)


class EqualValue(_OfValues):
    """`filter(email_index=value)`."""

    lookup_name = "exact"


class EqualValues(_OfValues):
    """`filter(email_index__in=values)`."""

    lookup_name = "in"


LOOKUPS = {"exact": EqualValue, "in": EqualValues}
