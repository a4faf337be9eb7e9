"""What `discover` found, as text: names and numbers, the entries to add, and the next command."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.text import Text

from rotation.discovery.result import Discovery
from rotation.discovery.target_entries import target_entries
from rotation.discovery.token_column import TokenColumn
from rotation.model.text import many
from rotation.output.terminal import Fitting, printable, rows_table


def render_discovery(found: Discovery) -> Iterator[RenderableType]:
    """The parts of a screen, one below the other."""
    yield from _read(found)
    if found.columns:
        yield ""
        yield _table(found)
    for column in found.columns:
        yield from _words(column)
    for remark in found.remarks:
        yield Text(f"Note: {printable(remark.subject)}: {printable(remark.words)}", "yellow")
    for remark in found.unseen:
        yield Text(f"Not looked at: {printable(remark.subject)}: {printable(remark.words)}", "red")
    for remark in found.beyond:
        subject = f"{printable(remark.database)}, {printable(remark.subject)}"
        yield Text(f"Outside this search: {subject}: {printable(remark.words)}", "dim")
    yield ""
    yield from _verdict(found)


def _read(found: Discovery) -> Iterator[Text]:
    for database, tables in found.databases.items():
        yield Text(f"{printable(database)}: {many(tables, 'table')} with columns of text or bytes")
    if found.sampled:
        yield Text(
            f"Read {many(found.rows, 'row')}: a sample of {many(found.sampled, 'large table')}, which may miss a "
            "rare token, and all rows of the others. --full reads every row."
        )
    else:
        yield Text(f"Read {many(found.rows, 'row')}: all there are.")


def _table(found: Discovery) -> Fitting:
    rows: list[list[RenderableType]] = []
    for column in found.columns:
        numbers = (column.tokens, column.embedded, column.under.total(), column.unknown)
        covered = Text("covered", "green") if column.covered else Text("none", "bold red")
        rows.append([printable(column.label), *(f"{number:,}" for number in numbers), covered])
    headings = ("column", "#tokens", "#in text", "#your keys open", "#no key opens", "target")
    return rows_table(headings, rows, always="#tokens")


def _words(column: TokenColumn) -> Iterator[Text]:
    label = printable(column.label)
    if column.where is not None:
        yield Text(f"{label}: its target covers only the rows of its `where`", "yellow")
    if column.covered:
        return
    opened = ", ".join(f"{number:,} under {key_id}" for key_id, number in column.under.most_common())
    seen = many(column.rows, "row") + (", of a sample" if column.sampled else "")
    yield Text(f"{label}: in {seen}, {opened or 'none under a key of this environment'}", "yellow")
    if column.embedded or column.inner:
        yield Text(f"{label}: tokens inside longer text, such as JSON, encoded again, or inside a token", "red")
    if column.large:
        yield Text(f"{label}: {many(column.large, 'cell')} too large to be read", "yellow")
    if column.tokens and column.hint:
        yield Text(f"{label}: cannot be a target: {printable(column.hint)}", "red")


def _verdict(found: Discovery) -> Iterator[Text]:
    for column in found.uncovered:
        # The entry of a proposed column is printed below.
        for way in column.remedies[1:] if column.proposed else column.remedies:
            yield Text(f"Next: {printable(column.label)}: {printable(way)}.")
    if proposed := target_entries(found.uncovered):
        yield Text("Add to rotation.toml:", "bold")
        yield Text("")
        yield Text(proposed)
        yield Text("Next: rotate.py status counts their tokens per key.")
    if found.uncovered:
        yield Text(f"Not covered by a target: {many(len(found.uncovered), 'column')} with tokens.", "bold red")
    elif not found.unseen:
        yield Text("No uncovered column with tokens was found.", "bold green")
    if found.unseen:
        yield Text(f"Not looked at: {many(len(found.unseen), 'table')}.", "bold red")
