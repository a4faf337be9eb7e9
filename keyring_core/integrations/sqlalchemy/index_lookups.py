"""Comparisons with a blind index: they keep the values, and become indexes each time the statement runs.

So a statement that is kept finds rows under all keys that the process has by then. `==` is sent as IN, whose parameter
SQLAlchemy expands at each execution to as many values as there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from sqlalchemy import String
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import coercions, operators, roles
from sqlalchemy.sql.elements import BindParameter, ClauseElement, ColumnElement
from sqlalchemy.sql.lambdas import PyWrapper
from sqlalchemy.sql.selectable import SelectBase

from keyring_core.blind_index import LENGTH, IndexText
from keyring_core.errors import ComparisonError
from keyring_core.integrations.sqlalchemy.column_type import ColumnType, OnlyNullTests, sign, without_wrapper

_EQUALITY = {operators.eq: operators.in_op, operators.ne: operators.not_in_op}
_LISTS = frozenset({operators.in_op, operators.not_in_op})


class EqualityByIndex(OnlyNullTests):
    """`==`, `!=`, `in_` and `not_in` compare with a value's index under every key; all but tests for NULL raise.

    The value may come later: by a `bindparam`, or from the closure of a lambda that SQLAlchemy analyses.
    """

    __slots__ = ()

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
        """The comparison of indexes, or ComparisonError."""
        if op is operators.distinct_op:
            # As in `count(distinct(...))`: equal values have equal indexes under one key, as in a group.
            return super(OnlyNullTests, self).operate(op, *other, **kwargs)
        if op not in _EQUALITY and op not in _LISTS:
            return super().operate(op, *other, **kwargs)
        given = other[0]
        if isinstance(given, PyWrapper):  # A variable of a lambda, which SQLAlchemy makes a parameter.
            given = coercions.expect(roles.BinaryElementRole, given, expr=self.expr, operator=op)
        elif hasattr(given, "__clause_element__"):
            given = given.__clause_element__()
        kind: Any = self.expr.type
        if isinstance(given, ClauseElement) and not isinstance(given, BindParameter):
            if _same_indexes(kind, given):
                return super(OnlyNullTests, self).operate(op, given, **kwargs)
            return super().operate(op, *other, **kwargs)
        if given is None and op in _EQUALITY:
            return super().operate(op, None, **kwargs)
        type_ = kind.indexed.several if op in _LISTS else kind.indexed.one
        sought = _sought(given, type_, getattr(self.expr, "key", None))
        return super(OnlyNullTests, self).operate(_EQUALITY.get(op, op), sought, **kwargs)

    def refusal(self, op: Any) -> ComparisonError:
        """The error for *op*."""
        return refused(self.expr.type, sign(op))


def refused(kind: Any, what: str, why: str = "") -> ComparisonError:
    """The error for the operation *what* on the blind index of *kind*."""
    return ComparisonError(
        f"{kind.place()}: a blind index cannot answer {what!r}{why}; compare it by ==, !=, in_ or not_in with the "
        "values to look up, as the encrypted column takes them, with None, or with an index of the same context"
    )


class SoughtIndexes(ColumnType[str]):
    """The type of the values that the blind index *kind* is compared with: one, or *several* in a list."""

    impl = String
    cache_ok = True

    def __init__(self, kind: Any, several: bool) -> None:  # noqa: FBT001 - SQLAlchemy's cache key has it
        super().__init__(LENGTH)
        self.kind, self.several = kind, several
        self.stored = String(LENGTH)
        self.options = {"kind": kind, "several": several}

    def bind_expression(self, bindvalue: Any) -> ColumnElement[Any]:
        """Called when a statement is compiled: from then on that turns the values of its parameters into indexes."""
        return ExpandedIndexes(bindvalue)

    def sought(self, given: Any) -> SoughtValues:
        """The value or values in *given*. Raises ComparisonError for what can surely not be looked up."""
        sought = SoughtValues(self, given)
        for value in sought.values():
            self.kind.check_early(value)
        return sought


class SoughtValues:
    """The values to look up. Their indexes are computed each time that somebody iterates; the repr shows no value."""

    __slots__ = ("given", "type")

    def __init__(self, type_: SoughtIndexes, given: Any) -> None:
        # A copy, since the caller may change a list.
        self.type, self.given = type_, list(given) if isinstance(given, set | frozenset | list | tuple) else given

    def values(self) -> Sequence[Any]:
        """The values. Raises ComparisonError for anything but a list in place of several."""
        if not self.type.several:
            return [self.given]
        if isinstance(self.given, list):
            return self.given
        raise refused(self.type.kind, "in_", f" with {type(self.given).__name__}")

    def indexes(self, dialect: Any = None) -> list[IndexText]:
        """Their indexes under all keys. Raises ComparisonError for what the source does not take."""
        return [index for value in self.values() for index in self.type.kind.sought(value, dialect)]

    def __iter__(self) -> Iterator[IndexText]:
        # SQLAlchemy does, to find the objects of a session that an UPDATE or DELETE meets.
        return iter(self.indexes())

    def __repr__(self) -> str:
        return "<SoughtValues>"


class ExpandedIndexes(ColumnElement[Any]):
    """The parameter of a comparison with a blind index, while its statement is compiled."""

    def __init__(self, bind: BindParameter[Any]) -> None:
        self.bind = bind


@compiles(ExpandedIndexes)
def _compile(element: ExpandedIndexes, compiler: Any, **options: Any) -> str:
    if "construct_params" not in vars(compiler):
        compiler.construct_params = partial(_construct_params, compiler, compiler.construct_params)
    text: str = compiler.process(element.bind, **options)
    return text


def _construct_params(compiler: Any, construct: Any, *args: Any, **options: Any) -> dict[str, Any]:
    """The parameters of an execution, with indexes in place of the values that are looked up."""
    made: dict[str, Any] = construct(*args, **options)
    is_run = options.get("_check", True)
    for name, kind in {name: bind.type for bind, name in compiler.bind_names.items()}.items():
        if isinstance(kind, SoughtIndexes) and name in made and (is_run or made[name] is not None):
            # Also a value that came by `bindparam`, or from the closure of a lambda.
            sought = made[name] if isinstance(made[name], SoughtValues) else SoughtValues(kind, made[name])
            made[name] = without_wrapper(sought.indexes, compiler.dialect) if is_run else sought
    return made


def _sought(given: Any, kind: SoughtIndexes, name: str | None) -> BindParameter[Any]:
    """The parameter for *given*: a value, or a parameter that gets one later."""
    if not isinstance(given, BindParameter):
        return BindParameter(name, kind.sought(given), type_=kind, unique=True)
    # It keeps its key, also one that SQLAlchemy made: by that a value is given for it.
    bind = given._clone(maintain_key=True)
    bind.type = kind
    if given.value is not None:
        bind.value = kind.sought(given.value)
    return bind


def _same_indexes(kind: Any, element: ClauseElement) -> bool:
    """True if *element* holds indexes of the same context as *kind*, made in the same way."""
    if isinstance(element, SelectBase):
        return all(_same_indexes(kind, each) for each in element.selected_columns)
    return isinstance(element, ColumnElement) and kind.identity == getattr(element.type, "identity", None)
