"""What a search found in, the text of rotation.toml out, with comments for those who have never seen one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from rotation.discovery.result import Discovery
from rotation.discovery.target_entries import as_comment, as_toml, by_entry, entry_of
from rotation.discovery.token_column import TokenColumn
from rotation.model.invocation import Invocation
from rotation.model.next_steps import Steps
from rotation.model.text import many
from rotation.output.discovery_text import parts_in_words
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
            parts.append(f"# {_commented(column)}\n# No entry: {as_comment(why_not(column, invocation))}.\n")
    return "\n".join(parts)


def gets_entry(column: TokenColumn) -> bool:
    """Whether *column* can be a target, and is not another application's."""
    return column.proposed and not column.is_foreign


def found_in_words(column: TokenColumn) -> str:
    """`user_credentials.api_key: 12 cells with tokens in 20 rows: 9 under 5f0c1a9e, 3 under no key here`."""
    tokens = [f"{number:,} under {key_id}" for key_id, number in column.under.most_common() if number]
    tokens += [f"{column.unknown:,} under no key here"] if column.unknown else []
    rows = many(column.rows, "row") + (", a sample" if column.sampled else "")
    kinds = f"; {parts_in_words(column.parts)}" if set(column.kinds) - {CellKind.TOKEN} else ""
    return f"{column.label}: {many(column.parts.total(), 'cell')} with tokens in {rows}: {', '.join(tokens)}{kinds}"


def why_not(column: TokenColumn, invocation: Invocation) -> str:
    """Why *column* gets no entry."""
    if column.is_foreign:
        return "it is in another schema or database, and no key here opens it: another application's, or bound tokens"
    if column.served and column.hint:
        return f"{column.hint}; to add a key: {column.add_key}" if column.add_key else column.hint
    return "; ".join(invocation.lines(Steps(*column.remedies)))


def _commented(column: TokenColumn) -> str:
    return as_comment(found_in_words(column))
