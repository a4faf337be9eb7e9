"""Model fields whose values are encrypted on the way to the database, and decrypted on the way back."""

from __future__ import annotations

import copy
import os
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxLengthValidator
from django.db import models
from django.db.models.sql.subqueries import UpdateQuery

from keyring_core.integrations.cells import Cells, ValueKind
from keyring_core.integrations.django.checks import faults_of_encrypted
from keyring_core.integrations.django.columns import (
    EncryptedCol,
    NullOnly,
    StaleIndexError,
    WrittenAsGiven,
    refusal,
    refuse_ordering,
    row_of,
)
from keyring_core.redaction.secret import Secret
from keyring_core.tokens import is_token

if TYPE_CHECKING:
    from keyring_core.legacy import Legacy


def refuse_token(value: object) -> None:
    """The validator of every encrypted field: a form says of a token what `save` would raise for."""
    if isinstance(value, str | bytes) and is_token(value):
        raise ValidationError("This value is encrypted already; enter what it was before.", code="encrypted")


class EncryptedField(WrittenAsGiven):
    """The base of the encrypted fields; `cells` turns a value into a cell."""

    kind: ClassVar[ValueKind]
    default_validators = [refuse_token]  # noqa: RUF012 - as Django declares it

    def __init__(
        self,
        *args: Any,
        context: str | bool = False,
        accept_unbound: bool = False,
        accept_plaintext: bool = False,
        legacy: Legacy | None = None,
        binary: bool = False,
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
        )

    def contribute_to_class(self, cls: type[models.Model], name: str, private_only: bool = False) -> None:  # noqa: FBT001, FBT002 - Django's
        """Gives each model that has the field, such as a history table, cells of its own."""
        super().contribute_to_class(cls, name, private_only)
        self.cells = copy.copy(self.cells)
        self.cells.column = f"{cls._meta.db_table}.{self.column}"

    def deconstruct(self) -> tuple[str, str, list[Any], dict[str, Any]]:
        """The field for a migration, which needs no key: without what is only for reading older cells."""
        name, path, args, kwargs = super().deconstruct()
        if self.cells.context:
            kwargs["context"] = self.cells.context
        if self.binary:
            kwargs["binary"] = True
        return name, public_path(path), [*args], kwargs

    def check(self, **kwargs: Any) -> list[Any]:
        """Django's own checks of the field, and those for an encrypted column."""
        return [*super().check(**kwargs), *faults_of_encrypted(self, kwargs.get("databases") or ())]

    def db_type(self, connection: Any) -> str | None:
        """The column's type: as long a text, or as many bytes, as there may be."""
        return models.BinaryField().db_type(connection) if self.binary else super().db_type(connection)

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
        """The value in a cell. Raises InvalidToken with the column and, if it was selected, the primary key."""
        return None if value is None else self.cells.open(value, lambda: row_of(expression))

    def takes_cells_of(self, other: object) -> bool:
        """True if a cell of the field *other* can be copied into this column as it is."""
        if not isinstance(other, EncryptedField):
            return False
        return self.binary == other.binary and self.cells.reading == other.cells.reading

    def value_to_string(self, obj: models.Model) -> str:
        """A token, so that no fixture holds plaintext; `loaddata` decrypts it, see `before_save`.

        Django does not ask for it if the value is a bare number or boolean of an EncryptedJSONField.
        """
        return self.cells.seal(self.value_from_object(obj))

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
        for field in fields:
            if getattr(field, "of", None) != self.name:
                continue
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

    kind = ValueKind.TEXT

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The options of EncryptedField."""
        super().__init__(*args, **kwargs)
        if self.max_length is not None:
            self.validators.append(MaxLengthValidator(self.max_length))

    def run_validators(self, value: Any) -> None:
        """Runs them on the text, and not on its mask."""
        super().run_validators(value.reveal() if isinstance(value, Secret) else value)

    def to_python(self, value: Any) -> Any:
        """*value* as text; a Secret stays one, since its text is a mask."""
        return value if isinstance(value, Secret) else super().to_python(value)


def _from_base64(text: str) -> bytes:
    """The bytes. Its error is raised outside of `except`: a UnicodeEncodeError would carry the text."""
    try:
        return b64decode(text)
    except ValueError:
        pass
    raise ValidationError("Enter bytes in base64.", code="invalid")


class EncryptedBinaryField(EncryptedField, models.BinaryField):  # type: ignore[type-arg]
    """Bytes, in a column of bytes; the cell is a token all the same. As a BinaryField it is not editable by default.

    Examples:
        >>> EncryptedBinaryField().to_python("aGVsbG8=")
        b'hello'
    """

    kind = ValueKind.BYTES

    def to_python(self, value: Any) -> Any:
        """The bytes that *value* is or, as text in base64, spells; a token in a fixture stays one."""
        if isinstance(value, str):
            return value.encode("ascii") if is_token(value) else _from_base64(value)
        return bytes(value) if isinstance(value, memoryview | bytearray) else value


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
            value = instance.__dict__.get(field.attname)
            if isinstance(value, str | bytes) and is_token(value):
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
