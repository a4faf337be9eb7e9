"""The columns for which a retirement was refused: the next one reads them to the end before it searches everything.

A sample may miss their tokens again, or does not enter their database, and to find them takes a search of every row.
"""

from __future__ import annotations

import json
from contextlib import suppress

from rotation.discovery.result import ColumnName, Discovery
from rotation.ledger.chain import read_json
from rotation.ledger.session import Session


def known_columns(session: Session, key_id: str) -> list[ColumnName]:
    """The columns that the last retirement of that key found, and that no target named. Raises LedgerError."""
    text = session.attempt(lambda ledger: ledger.reached(_plan(session, key_id)))
    # A row of another form is as good as none: then everything is searched.
    with suppress(ValueError, TypeError):
        found = [(database, table, column) for database, table, column in read_json(text or "[]")]
        return found if all(isinstance(name, str) for names in found for name in names) else []
    return []


def keep_columns(session: Session, key_id: str, search: Discovery) -> None:
    """Records the columns of *search* with tokens under that key that no target covers. Raises LedgerError."""
    found = (column for column in search.columns if column.under[key_id] and not column.covered)
    names = json.dumps([(column.database, column.table, column.column) for column in found])
    session.attempt(lambda ledger: ledger.reach(_plan(session, key_id), names))


def _plan(session: Session, key_id: str) -> str:
    return json.dumps(["retire", session.service, key_id])
