"""The result of a search as text: on a screen, with the next command, and as the rotation.toml that `init` writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from keyring_core.errors import printable
from rotation.discovery.result import Discovery, by_entry, entry_of
from rotation.discovery.token_column import ENVELOPE, Part, TokenColumn
from rotation.model.next_steps import PLAIN, STATUS, Invocation, Steps
from rotation.model.text import GONE, UNOPENED, as_toml, many
from rotation.output.terminal import Fitting, Verbatim, following, rows_table
from rotation.planning.cell_kinds import CellKind

HEADER = """\
# Which columns hold tokens, and where their keys are: for keyring-rotate.
# No secret is in this file, so you may commit it. The files that it names hold some: do not commit them.

# The dotenv file of the keys. Its path counts from the folder of this file.
{env_file}

# The database that keeps the dates of keys and runs. Without this line: rotation-ledger.db, beside this file.
# ledger = {ledger}

# How old keys may become before `keyring-rotate check` warns. These are the defaults.
# [policy]
# max_key_age = "365d"
# max_previous_age = "90d"
"""
SAMPLE = """\
# No column with tokens was found. Once a table holds some, name it here, and the columns that hold them:
# [[target]]
# url = {url}
# table = "user_credentials"
# columns = ["api_key"]
"""


def render_discovery(found: Discovery, invocation: Invocation = PLAIN) -> Iterator[RenderableType]:
    """The parts of a screen, one below the other."""
    yield from _read(found)
    yield from (Text(invocation.line(step), "bold") for step in found.recognised)
    if found.columns:
        yield ""
        yield _table(found)
    for column in found.columns:
        yield from _words(column)
    for key in found.derived:
        yield Text(f"{key.column}: key {key.key_id}, which {key.where} makes, opens it: {key.rule}", "bold green")
        if key.covered:
            yield Text(
                f"{key.column}: its key set has another rule; write there: {key.entry.splitlines()[1]}", "yellow"
            )
    for index in found.blind_indexes:
        under = ", ".join(f"{number:,} under {key_id}" for key_id, number in index.under.most_common())
        words = f"{index.label}: values of a blind index, {under}; no target names the column as its `index`"
        yield Text(words, "yellow")
    if found.declared:
        yield ""
        yield _models_table(found)
    left_out = (("Ignored", "dim", found.ignored), ("Not looked at", "red", found.unseen))
    for heading, style, remarks in (("Note", "yellow", found.remarks), *left_out):
        yield from (Text(f"{heading}: {each.subject}: {each.words}", style) for each in remarks)
    for heading, remarks in (("Outside this search", found.beyond), (UNOPENED, found.unopened), (GONE, found.gone)):
        yield from (Text(f"{heading}: {each.database}, {each.subject}: {each.words}", "dim") for each in remarks)
    yield ""
    yield from _verdict(found, invocation)


def _read(found: Discovery) -> Iterator[Text]:
    for database, tables in found.databases.items():
        yield Text(f"{database}: {many(tables, 'table')} with columns of text or bytes")
    if found.sampled:
        yield Text(
            f"Read {many(found.rows, 'row')}: a sample of {many(found.sampled, 'large table')}, which may miss a "
            "rare token, and all rows of the others. --full reads every row."
        )
    else:
        but = f", but not {many(found.unsearched_cells, 'large cell')}" if found.unsearched_cells else ""
        yield Text(f"Read {many(found.rows, 'row')}: all there are{but}.")


def _table(found: Discovery) -> Fitting:
    rows: list[list[RenderableType]] = []
    for column in found.columns:
        numbers = (column.tokens, column.embedded, column.under.total(), column.unknown)
        rows.append([column.label, *(f"{number:,}" for number in numbers), _cover(column)])
    headings = ("column", "#tokens", "#in other forms", "#your keys open", "#no key opens", "target")
    return rows_table(headings, rows, always="#tokens")


def _models_table(found: Discovery) -> Fitting:
    without = {id(column) for column in found.without_target}
    rows: list[list[RenderableType]] = [
        [
            column.label,
            column.source.place,
            column.context or "-",
            Text("none", "bold red") if id(column) in without else Text("covered", "green"),
        ]
        for column in found.declared
    ]
    return rows_table(("encrypted column", "declared by", "bound to", "target"), rows, always="encrypted column")


def _cover(column: TokenColumn) -> Text:
    if column.covered:
        return Text("covered", "green")
    if column.ignored is not None:
        return Text("ignored", "dim")
    if column.copy_of:
        return Text("a copy", "green")
    return Text("another application's", "dim") if column.is_foreign else Text("none", "bold red")


def _words(column: TokenColumn) -> Iterator[Text]:
    label = column.label
    if column.where is not None:
        yield Text(f"{label}: its target covers only the rows of its `where`", "yellow")
    if column.salted:
        yield Text(f"{label}: each row has a key of its own, with which no search opens a token; `status` counts them")
    if column.covered and column.unserved:
        formats = " and ".join(column.formats)
        left = parts_in_words(column.unserved)
        yield Text(f"{label}: its target has the format {formats}, which leaves cells of other kinds: {left}", "yellow")
    if column.made_of:
        made = (
            f"a copy of {' and '.join(column.copy_of)}" if column.copy_of else f"made of {' and '.join(column.made_of)}"
        )
        yield Text(f"{label}: {'; '.join([made, *column.refresh])}")
    if not column.is_uncovered:
        return
    opened = ", ".join(f"{number:,} under {key_id}" for key_id, number in column.under.most_common())
    seen = many(column.rows, "row") + (", of a sample" if column.sampled else "")
    yield Text(f"{label}: in {seen}, {opened or 'none under a key of this environment'}", "yellow")
    if set(column.kinds) - {CellKind.TOKEN}:
        yield Text(f"{label}: cells by what they hold: {parts_in_words(column.parts)}", "yellow")
    if column.served and column.hint and not column.made_of:
        yield Text(f"{label}: cannot be a target: {column.hint}", "red")


def parts_in_words(parts: Counter[Part]) -> str:
    """Cells by kind, and by encoding."""
    shown = []
    for part, cells in parts.most_common():
        encoding = f" ({part.format})" if part.kind is CellKind.ENCODED_TOKEN and part.format else ""
        if part.kind is CellKind.ENVELOPE:
            whose = "" if part.mixed else ", and no key here opens either"
            shown.append(f"{cells:,} {ENVELOPE}{whose}")
            continue
        beside = " (your keys' tokens beside tokens that no key opens)" if part.mixed else ""
        shown.append(f"{cells:,} {part.kind}{encoding}{beside}")
    return ", ".join(shown)


def _verdict(found: Discovery, invocation: Invocation) -> Iterator[Text]:
    for column in found.uncovered:
        # The entry of a proposed column is printed below.
        for way in column.remedies[1:] if column.proposed else column.remedies:
            yield from following(Steps(Steps(way, when=f"{column.label}:")), invocation)
    if proposed := found.entries:
        yield Text("Add to rotation.toml:", "bold")
        yield Text("")
        yield Verbatim(proposed)
        yield from following(Steps(STATUS, when="Then count their tokens per key:"), invocation)
    if found.uncovered:
        yield Text(f"Not covered by a target: {many(len(found.uncovered), 'column')} with tokens.", "bold red")
    if found.without_target:
        columns = many(len(found.without_target), "column")
        yield Text(f"Not covered by a target: {columns} that models declare as encrypted.", "bold red")
    if not (found.uncovered or found.without_target or found.unseen):
        yield Text("No uncovered column with tokens was found.", "bold green")
    if found.unseen:
        yield Text(f"Not looked at: {many(len(found.unseen), 'table')}.", "bold red")


def config_text(found: Discovery, env_file: Path | None, url: str, invocation: Invocation) -> str:
    """A new rotation.toml. *url*: the database's, as it is written; *env_file* as the file names it, None for none."""
    setting = '# env_file = ".env"' if env_file is None else f"env_file = {as_toml(str(env_file))}"
    ledger = as_toml(url if url.startswith("$") else "$DATABASE_URL")
    entries = entries_text(found.unnamed, invocation) or SAMPLE.format(url=as_toml(url))
    return f"{HEADER.format(env_file=setting, ledger=ledger)}\n{entries}"


def entries_text(columns: Iterable[TokenColumn], invocation: Invocation) -> str:
    """The entries for *columns*, each below what was found; a column that gets none is a comment."""
    columns = list(columns)
    taken = [column for column in columns if gets_entry(column)]
    parts = ["".join(f"# {_commented(each)}\n" for each in group) + entry_of(group) for group in by_entry(taken)]
    for column in columns:
        if not gets_entry(column):
            parts.append(f"# {_commented(column)}\n# No entry: {printable(why_not(column, invocation))}.\n")
    return "\n".join(parts)


def gets_entry(column: TokenColumn) -> bool:
    """True if *column* can be a target, and is not another application's."""
    return column.proposed and not column.is_foreign


def found_in_words(column: TokenColumn) -> str:
    """`user_credentials.api_key: 12 cells with tokens in 20 rows: 9 under 5f0c1a9e, 3 under no key here`."""
    tokens = [f"{number:,} under {key_id}" for key_id, number in column.under.most_common() if number]
    tokens += [f"{column.unknown:,} under no key here"] if column.unknown else []
    rows = many(column.rows, "row") + (", a sample" if column.sampled else "")
    kinds = f"; {parts_in_words(column.parts)}" if set(column.kinds) - {CellKind.TOKEN} else ""
    return f"{column.label}: {many(column.parts.total(), 'cell')} with tokens in {rows}: {', '.join(tokens)}{kinds}"


def why_not(column: TokenColumn, invocation: Invocation) -> str:
    """The reason that *column* gets no entry."""
    if column.is_foreign:
        return "it is in another schema or database, and no key here opens it: another application's, or bound tokens"
    if column.sources:
        return f"the database makes it of {' and '.join(column.sources)}: an entry for that covers it"
    if column.served and column.hint:
        return f"{column.hint}; to add a key: {column.add_key}" if column.add_key else column.hint
    return "; ".join(invocation.lines(Steps(*column.remedies)))


def _commented(column: TokenColumn) -> str:
    return printable(found_in_words(column))
