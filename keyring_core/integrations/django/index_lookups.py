"""The lookups of a blind index: equal values under each key, and columns whose indexes are made alike."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.db.models import Case, F, Subquery, Transform
from django.db.models.expressions import Col
from django.db.models.functions import Coalesce
from django.db.models.lookups import Exact, In, Lookup
from django.db.models.sql.query import Query

from keyring_core.integrations.django.columns import EncryptedComparisonError


class _OfValues(Lookup):
    """Compares an index with the indexes of values, computed when the query runs, under the keys of that time."""

    prepare_rhs = False
    of_column: Any
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
                    raise refusal(lhs.output_field)
        super().__init__(lhs, rhs)

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        """IN, over the index of each value under each key; or a comparison of two columns."""
        field = self.lhs.output_field
        alike = field.reading
        for each in _results_of(self.lhs):
            # Of an expression over two indexes Django takes the first one's lookups.
            if isinstance(each, Transform) or getattr(each._output_field_or_none, "reading", alike) != alike:
                raise refusal(field)
        if hasattr(self.rhs, "resolve_expression"):
            _check_alike(field, self.rhs)
            return self.of_column(self.lhs, self.rhs).as_sql(compiler, connection)
        values = self.rhs if self.lookup_name == "in" else [self.rhs]
        texts = [text for value in values if value is not None for text in field.each(value)]
        return In(self.lhs, texts).as_sql(compiler, connection)


class EqualValue(_OfValues):
    """`filter(email_index=value)`."""

    lookup_name = "exact"
    of_column = Exact


class EqualValues(_OfValues):
    """`filter(email_index__in=values)`."""

    lookup_name = "in"
    of_column = In


LOOKUPS = {"exact": EqualValue, "in": EqualValues}


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
        raise refusal(field)


def refusal(field: Any) -> EncryptedComparisonError:
    """The error of a comparison with what is no value of the column of *field*, and no index made as its are."""
    return EncryptedComparisonError(
        f"{field.model._meta.db_table}.{field.column}: compare a blind index with values, or with one whose context, "
        "keys and normalize are equal; the index of another column has other keys"
    )
