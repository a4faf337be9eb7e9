"""The files that must outlive every output of a command: what holds keys, and what keys open."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from rotation.context import Context
from rotation.world.inputs import if_legible
from rotation.world.outputs import Holds, Kept, Outputs

SQLITE_ENDS = ("", "-wal", "-shm", "-journal")
"""The endings of an SQLite database's files."""


def outputs_of(context: Context, urls: Iterable[str] = (), pause_file: Path | None = None) -> Outputs:
    """The outputs of a command on the databases at *urls*: a guard that knows the files of *context* and of these."""
    kept = [*_databases(urls), *([Kept(pause_file, Holds.PAUSE)] if pause_file else [])]
    # The rotation.toml that was named, also if options name the target, and the one that would be found without a name.
    both = (
        Context(context.inputs.process_environ, config, context.inputs.env_file, context.streams)
        for config in (context.inputs.config, None)
    )
    contexts = {one.inputs.config_path: one for one in both}.values()
    for one in contexts:
        ledger = if_legible(one.ledger_place)
        beside = [*([ledger.url] if ledger else []), *(if_legible(one.inputs.cell_urls) or [])]
        kept += [Kept(one.inputs.config_path, Holds.CONFIG), *one.inputs.key_files(), *_databases(beside)]
    return Outputs(kept, lambda: (archive for one in contexts for archive in _archives(one)))


def _databases(urls: Iterable[str]) -> Iterator[Kept]:
    """The files of the SQLite databases at *urls*, with those that SQLite makes beside them."""
    from rotation.stores.databases import file_of  # noqa: PLC0415 - brings SQLAlchemy

    for url in {*urls}:
        if file := file_of(url):
            # SQLite follows a link before it names the others.
            real = os.path.realpath(file)
            yield from (Kept(Path(f"{real}{end}"), Holds.DATABASE) for end in SQLITE_ENDS)


def _archives(context: Context) -> Iterable[Kept]:
    """The archives of retired keys that the ledger knows, of all services."""
    ledger = if_legible(lambda: context.open_ledger(make=False))
    if ledger is None:
        return []
    with ledger:
        certificates = if_legible(ledger.certificates) or []
    return [Kept(Path(path), Holds.RETIRED_KEYS) for one in certificates if isinstance(path := one.get("archive"), str)]
