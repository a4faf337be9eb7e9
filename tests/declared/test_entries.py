"""Declared columns as targets."""

from __future__ import annotations

import pytest

from rotation.configuration.declarations import DeclaredColumn
from rotation.configuration.sections import Declaration, Ignored
from rotation.declared.entries import declared_targets
from rotation.discovery.result import uncovered_columns
from rotation.model.failures import UsageError
from rotation.model.target import Target

DJANGO = Declaration(django="project.settings")
URL = "postgresql+psycopg://u:correct-horse@db/app"


def column(name: str = "pin", **more: object) -> DeclaredColumn:
    """A column of a Django project."""
    return DeclaredColumn(DJANGO, "users", name, url=URL, **more)  # type: ignore[arg-type]


def target(table: str, name: str = "pin") -> Target:
    """A target that was written by hand."""
    return Target("sqlite:///other.db", table, name, table)


def test_two_models_of_one_table_are_one_target() -> None:
    """If they agree; otherwise each would find the other's tokens unreadable."""
    assert len(declared_targets([column(), column()], {})) == 1

    with pytest.raises(UsageError, match=r"users\.pin is named twice"):
        declared_targets([column(), column(context="users.pin")], {})


def test_a_password_is_in_no_repr() -> None:
    """Neither of the column nor of its target, whose url as it was written is empty."""
    [made] = declared_targets([column(secrets={"SECRET_KEY": "battery-staple"})], {})

    assert made.url == URL
    assert made.written == ""
    assert "horse" not in repr(made) + repr(column())
    assert "staple" not in repr(column(secrets={"SECRET_KEY": "battery-staple"}))


@pytest.mark.parametrize(
    ("table", "covers"),
    [("users", True), ("crm.users", True), ("crm.other", False), ("users2", False)],
)
def test_a_target_covers_a_column_of_its_table(table: str, covers: bool) -> None:
    """By their names; a schema that one of them leaves out may be any."""
    assert (uncovered_columns([column()], [target(table)]) == []) is covers


def test_two_schemas_are_two_tables() -> None:
    """If both names have one."""
    declared = DeclaredColumn(DJANGO, "crm.users", "pin")

    assert uncovered_columns([declared], [target("erp.users")]) == [declared]


def test_an_ignored_column_needs_no_target() -> None:
    """Nor does any column of an ignored table."""
    columns = [column("pin"), column("note")]

    assert uncovered_columns(columns, [], [Ignored(table="users", columns=("pin",), reason="theirs")]) == columns[1:]
    assert uncovered_columns(columns, [], [Ignored(table="users", reason="theirs")]) == []
