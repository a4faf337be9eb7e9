"""Databases that `[policy]` of rotation.toml leaves out of a search, and why."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import NamedTuple


class LeftOut(NamedTuple):
    """Which databases of a server are left out."""

    reasons: Mapping[str, str] = MappingProxyType({})
    """Patterns of their names, and why each is left out."""
    named: Collection[str | None] = ()
    """The databases that urls name, which are never left out."""

    def why(self, database: str | None) -> str | None:
        """Why a database is left out; None if it is not."""
        if database is None or database in self.named:
            return None
        # Of what fnmatch knows, only `*` and `?` are signs here.
        patterns = ((pattern.replace("[", "[[]"), why) for pattern, why in self.reasons.items())
        return next((why for pattern, why in patterns if fnmatchcase(database, pattern)), None)
