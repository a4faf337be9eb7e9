"""Where the ledger is: named by the environment, otherwise by rotation.toml, otherwise a file beside that."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from keyring_core.environment import LEDGER_URL
from keyring_core.sources import variable_in
from rotation.model.relative_urls import url_of
from rotation.model.targets import find_url

DEFAULT_FILE = "rotation-ledger.db"


class LedgerPlace(NamedTuple):
    """The ledger's database, and what names it."""

    url: str
    named_by: str
    """The variable or the setting, for messages."""
    file: Path | None = None
    """The SQLite file that a ledger is made in if nothing names one."""
    overrides: bool = False
    """Whether the environment names another ledger than rotation.toml."""

    def called(self, name: str) -> str:
        """*name*, which is the ledger's, with what names it if there could be a mistake."""
        return f"{name} (of {self.named_by}; rotation.toml names another one)" if self.overrides else name

    def __repr__(self) -> str:
        return f"<LedgerPlace of {self.named_by}>"


def find_ledger(environ: Mapping[str, str], configured: str | None, config: Path | None) -> LedgerPlace | None:
    """The ledger that *environ* names, otherwise *configured*, otherwise the file beside the rotation.toml at *config*.

    None without any of these. Raises UsageError if the variable that *configured* names is not set.
    """
    if given := environ.get(LEDGER_URL, "").strip():
        named = variable_in(configured or "")
        other = environ.get(named) if named else configured
        return LedgerPlace(given, LEDGER_URL, overrides=bool(other) and other != given)
    if config is None:
        return None
    if configured is not None:
        whose = f"{config}, ledger"
        return LedgerPlace(find_url(configured, environ, whose, config.parent), whose)
    file = config.with_name(DEFAULT_FILE).absolute()
    return LedgerPlace(url_of(file), str(file), file)
