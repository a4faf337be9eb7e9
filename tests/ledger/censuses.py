"""Censuses for tests, by the names of what is in them."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields
from typing import Any

from rotation.ledger.records import CensusRecord
from rotation.model.counts import TABLES, Counts
from rotation.model.target import TargetId

COUNTED = {field.name for field in fields(Counts)} - {"problems"}


def census_of(service: str, table: str, column: str, **values: Any) -> CensusRecord:
    """A census of `table.column`: *values* are fields of the record, of its target or of its counts."""
    place = {name: values.pop(name) for name in ("where", "context") if name in values}
    target = TargetId(values.pop("database", ""), "", table, column, **place)
    counts = {name: values.pop(name) for name in list(values) if name in COUNTED}
    counts |= {name: Counter(counts[name]) for name in TABLES if name in counts}
    return CensusRecord(service, table, target, counts=Counts(**counts), **values)
