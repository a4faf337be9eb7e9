"""A field that holds the blind index of an encrypted field, by which rows are found: its values, and its lookups.

Duplicates of a unique one are errors of the encrypted field, in forms and by `full_clean`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from functools import wraps
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import models
from django.db.models import Case, F, Subquery, Transform
from django.db.models.expressions import Col
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, In, Lookup
from django.db.models.sql.query import Query
from django.utils.text import capfirst, get_text_list
from django.utils.translation import gettext as _

from keyring_core.blind_index import LENGTH, BlindIndex, IndexText, normal_form
from keyring_core.errors import PlaintextError
from keyring_core.integrations.django.checks import faults_of_index, importable_name
from keyring_core.integrations.django.fields import EncryptedField, public_path
from keyring_core.integrations.django.query_refusals import EncryptedComparisonError, StaleIndexError, WrittenAsGiven
from keyring_core.keys import check_context


class KnownIndex(IndexText):
    """The index of a value that is at hand: queries compare it under every key, as they do the value."""

    each: list[IndexText]
    under: tuple[str, str | None]
    """The context and the key set that it was made with: the index of another column never equals it."""


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

    def __init__(
        self,
        of: str,
        *args: Any,
        context: str | bool = True,
        normalize: str | Callable[[str], str] | None = None,
        **kwargs: Any,
    ) -> None:
        """*context* names the index; True, the default, is the table and column of the encrypted field.

        *normalize* makes the text that the index is of, so that values with one normal form are equal: a function that
        can be imported, or its name, `casefold`, `lower` or `module:function`.
        """
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
        self.spelling = normalize
        """The option `normalize`, as it was given."""

    @property
    def context(self) -> str:
        """The name under which the index's keys are derived."""
        return self._context if isinstance(self._context, str) else self.source.cells.column

    @property
    def normalize(self) -> Callable[[str], str] | None:
        """Makes the text that the index is of: the option, or the one text of a value that is no text."""
        form = self.source.cells.of
        return normal_form(self.spelling) if form is None else form.normal

    @property
    def reading(self) -> tuple[object, ...]:
        """What decides the index of a value: two columns for which it is equal can be compared."""
        cells = self.source.cells
        return self.context, cells.keys, cells.of, None if cells.of else self.normalize

    @property
    def source(self) -> EncryptedField:
        """The field that this is the index of."""
        found = self.model._meta.get_field(self.of)
        assert isinstance(found, EncryptedField)  # noqa: S101 - check E005 says it in words
        return found

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """The field for a migration. Raises ValueError if `normalize` is a function that has no name to import it by.

        A migration's models have to compute the same index.
        """
        name, path, args, kwargs = super().deconstruct()
        for each in ("max_length", "editable", "serialize", "null", "blank", "db_index"):
            kwargs.pop(each, None)
        kwargs |= {each: False for each in ("null", "blank") if not getattr(self, each)}
        if self.db_index is self.unique:
            kwargs["db_index"] = self.db_index
        kwargs["of"] = self.of
        if isinstance(self._context, str):
            kwargs["context"] = self._context
        if self.spelling is not None:
            kwargs["normalize"] = importable_name(self.spelling)
            if kwargs["normalize"] is None:
                raise ValueError(
                    f"BlindIndexField({self.of!r}): a migration cannot import normalize; give a function of a module, "
                    'or "casefold" or "lower"'
                )
        return name, public_path(path), [*args], kwargs

    def check(self, **kwargs: Any) -> list[Any]:
        """Django's own checks, and those of *of* and of `normalize`."""
        return [*super().check(**kwargs), *faults_of_index(self)]

    def index_of(self, instance: models.Model) -> IndexText | None:
        """The index of what *instance* holds, under the primary key; None if that cannot be stored."""
        if self._is_deferred(instance):
            return self.from_db_value(instance.__dict__[self.attname])
        value = getattr(instance, self.source.attname)
        try:
            index = self._index(value)
        except EncryptedComparisonError:
            raise
        except (TypeError, PlaintextError):
            # `full_clean` and `save` name the field itself.
            return None
        if index is None:
            return None
        known = KnownIndex(index)
        known.each, known.under = self.each(value), self._under
        return known

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001 - Django's
        """The index to store: of the value that the encrypted field saves. Raises StaleIndexError if another was given.

        `update_or_create` adds a field with this method to what it writes.
        """
        if self._is_deferred(model_instance):
            return self.from_db_value(model_instance.__dict__[self.attname])
        value = self.source.pre_save(model_instance, add)
        # `get_or_create(email_index=x)` makes a row of what it looked for: without the value it would be lost.
        given = model_instance.__dict__.get(self.attname)
        if add and given not in self.empty_values and not self.may_be_written(given, value):
            raise StaleIndexError(
                f"{self.source.cells.column}: the new row gives {self.name} another value; give the value itself, too: "
                f'get_or_create({self.name}=x, defaults={{"{self.of}": x}})'
            )
        index = self._index(value)
        # So that a copy of the row, with another value, is not refused for what this one was given.
        model_instance.__dict__[self.attname] = index
        return index

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: ARG002, FBT001, FBT002 - Django's
        """The text to store or to compare with: the index of *value*, or *value* if it is an index."""
        value = self.get_prep_value(value)
        # `makemigrations` puts a new index before the change that encrypts its column: there the default is asked for.
        if value is None and not isinstance(self.model._meta.get_field(self.of), EncryptedField):
            return None
        index = self._index(value)
        return None if index is None else str(index)

    def from_db_value(self, value: Any, *_: object) -> IndexText | None:
        """The index, which can be given to `filter` again."""
        return None if value is None else IndexText(value)

    def get_lookup(self, lookup_name: str) -> Any:
        """`exact`, `in` and `isnull`. Raises EncryptedComparisonError for all others."""
        if lookup_name == "isnull":
            return super().get_lookup(lookup_name)
        if lookup_name in _LOOKUPS:
            return _LOOKUPS[lookup_name]
        raise EncryptedComparisonError(
            f'{self.model._meta.db_table}.{self.column}: a blind index finds equal values; the lookup "{lookup_name}" '
            "cannot work on it: exact, in and isnull do"
        )

    def each(self, value: Any) -> list[IndexText]:
        """The indexes that an equal value may have: one text for each key.

        Raises EncryptedComparisonError for the index that an instance has of another column.
        """
        if isinstance(value, KnownIndex):
            if value.under != self._under:
                raise _refusal(self)
            return value.each
        if isinstance(value, IndexText):
            return [value]
        plaintext = self._plaintext(value)
        if plaintext is None:
            return []
        return [
            IndexText(text)
            for text in BlindIndex(self.context, self.normalize).each(self.source.cells.reloader(), plaintext)
        ]

    def may_be_written(self, index: object, value: object) -> bool:
        """False if *index*, which a statement writes beside *value*, is of a value that is not equal to it."""
        if any(isinstance(each, IndexText) or hasattr(each, "resolve_expression") for each in (index, value)):
            return True
        return self._index(index) == self._index(value)

    @property
    def _under(self) -> tuple[str, str | None]:
        return self.context, self.source.cells.keys

    def _is_deferred(self, instance: models.Model) -> bool:
        """True if the value is deferred, and so is what it was when the index was stored."""
        return self.source.attname not in instance.__dict__ and self.attname in instance.__dict__

    def _plaintext(self, value: Any) -> bytes | None:
        """The bytes that the cell of *value* encrypts, after the application's own field changed it."""
        source = self.source
        prepared = source.get_prep_value(value)
        return None if prepared is None else source.cells.plaintext_of(prepared)

    def _index(self, value: Any) -> IndexText | None:
        """The index of *value* under the primary key."""
        if isinstance(value, IndexText):
            return value
        if hasattr(value, "resolve_expression"):
            raise EncryptedComparisonError(
                f"{self.source.cells.column}: {self.name} cannot be computed of an expression; give a value"
            )
        plaintext = self._plaintext(value)
        if plaintext is None:
            return None
        return IndexText(BlindIndex(self.context, self.normalize).of(self.source.cells.reloader(), plaintext))


class EqualValue(Lookup):
    """`filter(email_index=value)`: compares with the indexes of the value when the query runs, under all keys then."""

    lookup_name = "exact"
    prepare_rhs = False
    of_column: Any = Exact
    """Django's lookup for a right side that is a column or a subquery."""

    def __init__(self, lhs: Any, rhs: Any) -> None:
        # A QuerySet, too, is an expression: to iterate over it would run it.
        if hasattr(rhs, "resolve_expression"):
            # The column that OuterRef names is known when the query is compiled.
            if not isinstance(rhs, F):
                _check_alike(lhs.output_field, rhs)
        elif self.lookup_name == "in":
            rhs = [*rhs]
            for value in rhs:
                if hasattr(value, "resolve_expression"):
                    raise _refusal(lhs.output_field)
        super().__init__(lhs, rhs)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """IN, over the index of each value under each key; or a comparison of two columns."""
        field = self.lhs.output_field
        alike = field.reading
        for each in _results_of(self.lhs):
            # Of an expression over two indexes Django takes the first one's lookups.
            if isinstance(each, Transform) or getattr(each._output_field_or_none, "reading", alike) != alike:
                raise _refusal(field)
        if hasattr(self.rhs, "resolve_expression"):
            _check_alike(field, self.rhs)
            return self.of_column(self.lhs, self.rhs).as_sql(compiler, connection)
        values = self.rhs if self.lookup_name == "in" else [self.rhs]
        texts = [text for value in values if value is not None for text in field.each(value)]
        return In(self.lhs, texts).as_sql(compiler, connection)


class EqualValues(EqualValue):
    """`filter(email_index__in=values)`."""

    lookup_name = "in"
    of_column = In


_LOOKUPS = {"exact": EqualValue, "in": EqualValues}


def _results_of(expression: Any) -> Iterator[Any]:
    """The expressions that give *expression* its value: of a CASE or COALESCE each column that it may be."""
    if isinstance(expression, Case):
        inner = [*(each.result for each in expression.cases), expression.default]
    elif isinstance(expression, Coalesce):
        inner = expression.get_source_expressions()
    else:
        yield expression
        return
    for each in inner:
        yield from _results_of(each)


def _check_alike(field: Any, rhs: Any) -> None:
    """Raises EncryptedComparisonError unless *rhs* is a column of indexes that are made as those of *field* are."""
    if isinstance(rhs, Subquery):
        rhs = rhs.query
    if isinstance(rhs, Query):
        selected = [*rhs.select, *rhs.annotation_select.values()]
        rhs = selected[0] if len(selected) == 1 else None
    other = rhs.target if isinstance(rhs, Col) else None
    if getattr(other, "reading", None) != field.reading:
        raise _refusal(field)


def _refusal(field: Any) -> EncryptedComparisonError:
    """The error of a comparison with what is no value of the column of *field*, and no index made as its are."""
    return EncryptedComparisonError(
        f"{field.model._meta.db_table}.{field.column}: compare a blind index with values, or with one whose context, "
        "keys and normalize are equal; the index of another column has other keys"
    )


def _by_index(validate: Callable[..., None]) -> Callable[..., None]:
    @wraps(validate)
    def checked(self: models.Model, exclude: Collection[str] | None = None) -> None:
        fields: Iterable[Any] = self._meta.concrete_fields
        sources = {field.name: field.source for field in fields if isinstance(field, BlindIndexField)}
        excluded = {*(exclude or ())}
        hidden = {name for name, source in sources.items() if source.name in excluded}
        try:
            validate(self, exclude=(excluded - {*sources}) | hidden)
            return
        except ValidationError as error:
            found = error.update_error_dict({})
        raise ValidationError(_named_after(sources, found))

    return checked


def _named_after(sources: dict[str, Any], found: dict[str, list[ValidationError]]) -> dict[str, list[ValidationError]]:
    """The errors *found*, under the names of the encrypted fields, and with their labels."""
    named: dict[str, list[ValidationError]] = {}
    for name, errors in found.items():
        for error in errors:
            params = getattr(error, "params", None) or {}
            check = params.get("unique_check", ())
            indexes = [each for each in check if each in sources]
            if indexes:
                options = params["model_class"]._meta
                labels = [capfirst(sources.get(each, options.get_field(each)).verbose_name) for each in check]
                params |= {"field_label": labels[0], "field_labels": get_text_list(labels, _("and"))}
            place = sources[name].name if name in sources else name
            if place == NON_FIELD_ERRORS and indexes:
                place = sources[indexes[0]].name
            named.setdefault(place, []).append(error)
    return named


def _check_by_index(sender: type[models.Model], **_: object) -> None:
    """Makes the two public methods of a model that look for duplicates take each index for its encrypted field.

    A form leaves the index out, and Django what a form leaves out. Two requests at once are left to the database.
    """
    if any(isinstance(field, BlindIndexField) for field in sender._meta.local_fields):
        for name in ("validate_unique", "validate_constraints"):
            setattr(sender, name, _by_index(getattr(sender, name)))


models.signals.class_prepared.connect(_check_by_index, dispatch_uid="keyring_core.check_by_index")
