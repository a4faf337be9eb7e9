"""Model fields whose values are encrypted on the way to the database, and decrypted on the way back."""

from __future__ import annotations

import copy
import os
import sys
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.serializers.base import Serializer
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models.sql.subqueries import UpdateQuery
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from keyring_core.errors import InvalidToken
from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.django.checks import faults_of_encrypted
from keyring_core.integrations.django.query_refusals import (
    EncryptedCol,
    NullOnly,
    StaleIndexError,
    WrittenAsGiven,
    is_deletion,
    refusal,
    refuse_ordering,
    row_of,
)
from keyring_core.redaction import Secret
from keyring_core.tokens import is_token

if TYPE_CHECKING:
    from keyring_core.integrations.values import ValueForm
    from keyring_core.legacy import Legacy


def _is_token(value: object) -> bool:
    return isinstance(value, str | bytes) and is_token(value)


def refuse_token(value: object) -> None:
    """The validator of every encrypted field: a form says of a token what `save` would raise for."""
    if _is_token(value):
        raise ValidationError("This value is encrypted already; enter what it was before.", code="encrypted")


class EncryptedField(WrittenAsGiven):
    """The base of the encrypted fields; `cells` turns a value into a cell.

    Its methods come before those of the plain field beside it, which then has the forms, the checks and `to_python`.
    """

    kind: ClassVar[ValueKind] = ValueKind.TEXT
    form: ValueForm | None = None
    """The rule for values that stand for text; None if they are text, bytes or JSON themselves."""
    # Django's words of a field that is not encrypted show the value.
    default_error_messages = {  # noqa: RUF012 - as Django declares it
        "invalid_choice": _("Select a valid choice. That choice is not one of the available choices.")
    }

    def __init__(  # noqa: PLR0913 - the options of a column
        self,
        *args: Any,
        context: str | bool = False,
        accept_unbound: bool = False,
        accept_plaintext: bool = False,
        legacy: Legacy | None = None,
        binary: bool = False,
        keys: str | None = None,
        **kwargs: Any,
    ) -> None:
        """The options of `Cells`, and *binary*: the column is a BLOB or BYTEA, as for a BinaryField."""
        super().__init__(*args, **kwargs)
        self.binary = binary
        self.cells = Cells(
            self.kind,
            context=context,
            accept_unbound=accept_unbound,
            accept_plaintext=accept_plaintext,
            legacy=legacy,
            secrets=VariablesAndSettings,
            of=self.form,
            keys=keys,
        )

    @cached_property
    def validators(self) -> list[Any]:
        """The plain field's, after the one that refuses tokens."""
        return [refuse_token, *super().validators]

    def run_validators(self, value: Any) -> None:
        """Runs them on what a Secret holds, and not on its mask."""
        value = value.reveal() if isinstance(value, Secret) else value
        # First and alone: those of a number or a date cannot take a token.
        refuse_token(value)
        super().run_validators(value)

    def to_python(self, value: Any) -> Any:
        """The value as the plain field reads it from a form or a fixture; a Secret, or a fixture's token, as it is."""
        return value if isinstance(value, Secret) or _is_token(value) else super().to_python(value)

    def contribute_to_class(self, cls: type[models.Model], name: str, **kwargs: Any) -> None:  # type: ignore[override]  # as a DateField
        """Gives each model that has the field, such as a history table, cells of its own."""
        super().contribute_to_class(cls, name, **kwargs)
        self.cells = copy.copy(self.cells)
        self.cells.column = f"{cls._meta.db_table}.{self.column}"

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """The field for a migration, which needs no key: without what is only for reading older cells."""
        name, path, args, kwargs = super().deconstruct()
        options = {"context": self.cells.context, "binary": self.binary, "keys": self.cells.keys}
        kwargs |= {name: value for name, value in options.items() if value}
        return name, public_path(path), [*args], kwargs

    def check(self, **kwargs: Any) -> list[Any]:
        """Django's own checks of the field, and those for an encrypted column."""
        return [*super().check(**kwargs), *faults_of_encrypted(self, kwargs.get("databases") or ())]

    def db_type(self, connection: Any) -> str | None:
        """The column's type: as long a text, or as many bytes, as there may be."""
        return models.BinaryField().db_type(connection) if self.binary else super().db_type(connection)

    def cast_db_type(self, connection: Any) -> str | None:
        """The type in a CAST: the column's, never that of the plain field."""
        return models.Field.cast_db_type(self, connection)

    def get_db_converters(self, connection: Any) -> list[Any]:
        """What reads a cell: never what reads the database's form of the plain field."""
        return models.Field.get_db_converters(self, connection)

    def get_internal_type(self) -> str:
        """The type for Django's backends, which know of no encrypted one."""
        return "BinaryField" if self.kind is ValueKind.BYTES else "TextField"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:  # noqa: FBT001, FBT002 - Django's
        """The cell of *value*; None is NULL."""
        if not prepared:
            value = self.get_prep_value(value)
        if value is None:
            return None
        token = self.cells.seal(value)
        return (
            connection.Database.Binary(token.encode("ascii")) if self.binary or self.kind is ValueKind.BYTES else token
        )

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:  # noqa: ARG002 - Django's
        """The value in a cell. Raises InvalidToken with the column and, if it was selected, the primary key.

        Raises TypeError if the column is still of another type than the field, such as a date.
        """
        if value is None:
            return None
        if not isinstance(value, str | bytes | bytearray | memoryview):
            kind = type(value).__name__
            raise TypeError(f"{self.cells.column}: the column holds {kind}, not text; run makemigrations and migrate")
        try:
            return self.cells.open(value, lambda: row_of(expression))
        except InvalidToken as error:
            if is_deletion():
                error.with_hint(
                    f'to delete rows unread: .only("pk").delete(); or replace the value first: .update({self.name}=...)'
                )
            raise

    def takes_cells_of(self, other: object) -> bool:
        """True if a cell of the field *other* can be copied into this column as it is, and the other way round."""
        if not isinstance(other, EncryptedField):
            return False
        return self.binary == other.binary and self.cells.reading == other.cells.reading

    def value_from_object(self, obj: models.Model) -> Any:
        """The value in *obj*. A serializer gets the token: it writes numbers and dates without asking the field."""
        value = super().value_from_object(obj)
        serializes = isinstance(sys._getframe(1).f_locals.get("self"), Serializer)
        return self.value_to_string(obj) if serializes and value is not None else value

    def value_to_string(self, obj: models.Model) -> str:
        """A token, so that no fixture holds plaintext; `loaddata` decrypts it, see `before_save`."""
        return self.cells.seal(self.get_prep_value(self.value_from_object(obj)))

    def get_col(self, alias: Any, output_field: Any = None) -> Any:
        """The column, which refuses to be ordered by or computed with."""
        return EncryptedCol(alias, self, output_field)

    def select_format(self, compiler: Any, sql: str, params: Any) -> Any:
        """The SQL that selects the column. Raises EncryptedComparisonError if the query is ordered by it."""
        refuse_ordering(compiler.query)
        return super().select_format(compiler, sql, params)

    def get_lookup(self, lookup_name: str) -> Any:
        """The lookup `isnull`, and `exact` for None alone. Raises EncryptedComparisonError for all others."""
        if lookup_name == "isnull":
            return super().get_lookup(lookup_name)
        if lookup_name == "exact":
            return NullOnly
        raise refusal(self.cells.column, f'the lookup "{lookup_name}"')

    def get_transform(self, lookup_name: str) -> Any:
        """Raises EncryptedComparisonError: the database cannot look into a token."""
        raise refusal(self.cells.column, f'"{lookup_name}"')

    def get_placeholder(self, value: Any, compiler: Any, connection: Any) -> str:  # noqa: ARG002 - Django's
        """The placeholder for a value in SQL. Raises StaleIndexError in an UPDATE without the blind index."""
        self._check_index(compiler.query)
        return "%s"

    def get_placeholder_sql(self, value: Any, compiler: Any, connection: Any) -> Any:  # noqa: ARG002 - Django's
        """The same for Django 6.1 and later."""
        self._check_index(compiler.query)
        return compiler.compile(value) if hasattr(value, "as_sql") else ("%s", [value])

    def _check_index(self, query: Any) -> None:
        """Django offers no other place that sees all columns of an UPDATE: of save, update and bulk_update alike."""
        if isinstance(query, UpdateQuery):
            written = {field.name: value for field, _model, value in vars(query)["values"]}
        else:  # An upsert takes the values from the row.
            written = {field.name: None for field in getattr(query, "update_fields", None) or ()}
        if self.name not in written:
            return
        fields: Iterable[Any] = self.model._meta.local_concrete_fields
        for field in [each for each in fields if getattr(each, "of", None) == self.name]:
            if field.name not in written:
                raise StaleIndexError(
                    f"{self.cells.column}: this UPDATE would leave the blind index {field.name} stale; write it, too: "
                    f'update({self.name}=x, {field.name}=x), update_fields=["{self.name}", "{field.name}"], or '
                    f'bulk_update(rows, ["{self.name}", "{field.name}"])'
                )
            if not field.may_be_written(written[field.name], written[self.name]):
                raise StaleIndexError(f"{self.cells.column}: this UPDATE gives {field.name} another value")


class EncryptedTextField(EncryptedField, models.TextField):  # type: ignore[type-arg]
    """Text. *max_length* bounds the value, in forms and by `full_clean`, and not the column.

    Examples:
        >>> EncryptedTextField().run_validators(get_keyring().encrypt("sk-live-1"))
        Traceback (most recent call last):
        django.core.exceptions.ValidationError: ['This value is encrypted already; enter what it was before.']
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The options of EncryptedField."""
        super().__init__(*args, **kwargs)
        if self.max_length is not None:
            self.validators.append(MaxLengthValidator(self.max_length))


class EncryptedBinaryField(EncryptedField, models.BinaryField):  # type: ignore[type-arg]
    """Bytes, in a column of bytes; the cell is a token all the same. As a BinaryField it is not editable by default.

    Examples:
        >>> EncryptedBinaryField().to_python("aGVsbG8=")
        b'hello'
    """

    kind = ValueKind.BYTES

    def to_python(self, value: Any) -> Any:
        """The bytes that *value* is or, as text in base64, spells; a token in a fixture stays one."""
        if not isinstance(value, str):
            return bytes(value) if isinstance(value, memoryview | bytearray) else value
        if is_token(value):
            return value.encode("ascii")
        with suppress(ValueError):
            return b64decode(value)
        # Outside of that block: a UnicodeEncodeError would carry the text.
        raise ValidationError("Enter bytes in base64.", code="invalid")


class EncryptedJSONField(EncryptedField, models.JSONField):
    """Any JSON value, whole in one token. None is NULL. It takes no encoder and no decoder."""

    kind = ValueKind.JSON

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The options of EncryptedField. Raises TypeError for an encoder or a decoder."""
        super().__init__(*args, **kwargs)
        if self.encoder is not None or self.decoder is not None:
            raise TypeError("EncryptedJSONField takes no encoder and no decoder; give it JSON's own types")

    def _check_supported(self, databases: Any) -> list[Any]:  # noqa: ARG002 - Django's
        """Nothing: the database needs no JSON type."""
        return []


def before_save(sender: type[models.Model], instance: models.Model, raw: bool = False, **_: object) -> None:  # noqa: FBT001, FBT002 - Django's
    """Decrypts the tokens of a fixture: only `loaddata` and other deserializers save raw, and no form does."""
    if not raw:
        return
    for field in sender._meta.concrete_fields:
        if isinstance(field, EncryptedField):
            value: Any = instance.__dict__.get(field.attname)
            if _is_token(value):
                setattr(instance, field.attname, field.cells.open(value, lambda: f"pk={instance.pk}"))


class VariablesAndSettings(Mapping[str, str | Sequence[str]]):
    """The variables of this process and, for names that it lacks, the settings that are a text or a list."""

    def __getitem__(self, name: str) -> str | Sequence[str]:
        if name in os.environ:
            return os.environ[name]
        value = getattr(settings, name, None)
        if isinstance(value, str | list | tuple):
            return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        # A command that prints a secret gets what is listed: the variables alone, and no setting.
        return iter(os.environ)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def public_path(path: str) -> str:
    """The path from which migrations import a class of this package."""
    return path.replace(f"{__package__}.{path.split('.')[-2]}.", f"{__package__}.")


models.signals.pre_save.connect(before_save, dispatch_uid="keyring_core.before_save")
