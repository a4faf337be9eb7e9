"""Lets Alembic write the plain type of an encrypted column into a migration: no key, and no import by hand.

A migration is a record of what the database held then, and has to run in ten years: `sa.Text()` will.
Alembic 1.18 finds `setup` by itself (entry point `alembic.plugins`). For older ones give `render_item` to
`context.configure` in env.py.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def render_item(kind: str, item: Any, autogen_context: Any) -> str | bool:
    """The text for a type of `keyring_core.integrations.sqlalchemy`; False for anything else."""
    # A project without such a column does not import SQLAlchemy's types for it.
    from keyring_core.integrations.sqlalchemy.column_type import ColumnType  # noqa: PLC0415

    if kind != "type" or not isinstance(item, ColumnType):
        return False
    return f"{autogen_context.opts['sqlalchemy_module_prefix'] or ''}{item.stored!r}"


def setup(plugin: Any) -> None:
    """Registers with Alembic, which calls it when it is imported."""
    from alembic.util import DispatchPriority  # noqa: PLC0415 - no dependency of this library

    plugin.add_autogenerate_comparator(_render_types, "autogenerate", priority=DispatchPriority.FIRST)


def _render_types(autogen_context: Any, _upgrade_ops: Any) -> Any:
    from alembic.util import PriorityDispatchResult  # noqa: PLC0415 - no dependency of this library

    own = autogen_context.opts.get("render_item")

    def render(kind: str, item: Any, context: Any) -> str | bool:
        rendered: str | bool = own(kind, item, context) if own else False
        return rendered if rendered is not False else render_item(kind, item, context)

    autogen_context.opts["render_item"] = render
    return PriorityDispatchResult.CONTINUE


class _Plugin(ModuleType):
    """Alembic 1.18.0 to 1.20.0 go through what the entry point loads as if it were a list of modules."""

    def __iter__(self) -> Iterator[ModuleType]:
        yield self


sys.modules[__name__].__class__ = _Plugin
