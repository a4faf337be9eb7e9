"""What `discover` found, as a person reads it: names and numbers, the entries to add, what to type next."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rotation.discovery.discover import Discovery, TokenColumn, target_entries
from rotation.model.text import many
from rotation.output.terminal import printable


def render_discovery(found: Discovery) -> Iterator[RenderableType]:
    """The parts of a screen, one below the other."""
    yield from _looked_at(found)
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
        where = f"{printable(remark.database)}, {printable(remark.subject)}"
        yield Text(f"Beyond this look: {where}: {printable(remark.words)}", "dim")
    yield ""
    yield from _verdict(found)


def _looked_at(found: Discovery) -> Iterator[Text]:
    for database, tables in found.databases.items():
        yield Text(f"{printable(database)}: {many(tables, 'table')} with columns of text or bytes")
    if found.sampled:
        yield Text(
            f"Looked at {many(found.rows, 'row')}: a sample of {many(found.sampled, 'large table')}, which may miss a "
            "rare token, and all rows of the others. --full looks at every row."
        )
    else:
        yield Text(f"Looked at {many(found.rows, 'row')}: all there are.")


def _table(found: Discovery) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("column", overflow="fold")
    for heading in ("tokens", "in text", "our keys open", "no key opens"):
        table.add_column(heading, justify="right")
    table.add_column("target")
    for column in found.columns:
        numbers = (column.tokens, column.embedded, column.under.total(), column.unknown)
        named = Text("named", "green") if column.covered else Text("none", "bold red")
        table.add_row(Text(printable(column.label)), *(f"{number:,}" for number in numbers), named)
    return table


def _words(column: TokenColumn) -> Iterator[Text]:
    label = printable(column.label)
    if column.where is not None:
        yield Text(f"{label}: its target takes only the rows of its where", "yellow")
    if column.covered:
        return
    opened = ", ".join(f"{number:,} under {key_id}" for key_id, number in column.under.most_common())
    seen = many(column.rows, "row") + (", of a sample" if column.sampled else "")
    yield Text(f"{label}: in {seen}, {opened or 'none under a key of ours'}", "yellow")
    if column.embedded or column.inner:
        yield Text(f"{label}: tokens inside longer text, such as JSON, encoded again, or inside a token", "red")
    if column.large:
        yield Text(f"{label}: {many(column.large, 'cell')} too large to be looked at", "yellow")
    if column.tokens and column.hint:
        yield Text(f"{label}: no entry for it: {printable(column.hint)}", "red")


def _verdict(found: Discovery) -> Iterator[Text]:
    for column in found.uncovered:
        # The entry of one that is proposed stands below.
        for way in column.remedies[1:] if column.proposed else column.remedies:
            yield Text(f"Next: {printable(column.label)}: {printable(way)}.")
    if proposed := target_entries(found.uncovered):
        yield Text("Add to rotation.toml:", "bold")
        yield Text("")
        yield Text(proposed)
        yield Text("Next: rotate.py status counts their tokens per key.")
    if found.uncovered:
        yield Text(f"Named by no target: {many(len(found.uncovered), 'column')} with tokens.", "bold red")
    elif not found.unseen:
        yield Text("No column holds tokens that no target names, as far as was looked.", "bold green")
    if found.unseen:
        yield Text(f"Not looked at: {many(len(found.unseen), 'table')}.", "bold red")
