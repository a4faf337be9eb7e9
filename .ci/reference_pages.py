"""Writes pages of docs/reference from the code, into the templates in .ci/reference.

`python .ci/reference_pages.py` writes them; a test compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from schemas import DOCUMENTS, name_of

from rotation.cli.help_page import commands_of
from rotation.cli.main import cli
from rotation.configuration.sections import SECTIONS
from rotation.configuration.settings import section_settings
from rotation.model.counts import NUMBERS, TABLES, CellCounts

ROOT = Path(__file__).parents[1]
TEMPLATES, FOLDER, SCHEMAS = ROOT / ".ci" / "reference", ROOT / "docs" / "reference", ROOT / "rotation" / "schemas"
PROGRAM = "keyring-rotate"
COUNTS = (*NUMBERS, *TABLES)
NOTE = "<!-- Made by .ci/reference_pages.py: change the code, or .ci/reference/{}.md. -->"


def pages() -> dict[Path, str]:
    """Every page, by its path."""
    return {FOLDER / path.name: page(path.stem, path.read_text()) for path in sorted(TEMPLATES.glob("*.md"))}


def page(name: str, template: str) -> str:
    """The page of a *template*, whose marks are replaced by what the code gives."""
    title, _, text = template.partition("\n")
    made = re.sub(r"<!-- (\w[\w ]*)(?:: (\w+))? -->", lambda mark: "\n".join(_part(mark[1], mark[2])), text)
    return re.sub(r"\n{3,}", "\n\n", f"{title}\n\n{NOTE.format(name)}\n{made.rstrip()}\n")


def _part(what: str, name: str | None) -> Iterator[str]:
    if what == "table":
        yield from _settings(str(name))
    elif what == "commands":
        yield from _commands()
    elif what == "exit codes":
        yield from _exit_codes()
    else:
        yield from _documents()


def _settings(section: str) -> Iterator[str]:
    rows = ([f"`{name}`", each.words, each.default] for name, each in section_settings(*SECTIONS[section]).items())
    yield from _table(["setting", "means", "default"], rows)


def commands() -> dict[str, click.Command]:
    """Every command by the words that call it, in the order of the help page."""
    return {words: command for words, command in commands_of(cli) if not isinstance(command, click.Group)}


def _context(name: str, command: click.Command) -> click.Context:
    """The context of a command that was typed."""
    return click.Context(command, info_name=name, parent=cli.context_class(cli, info_name=PROGRAM))


def _commands() -> Iterator[str]:
    users = _users()
    for name, command in commands().items():
        context = _context(name, command)
        yield f"## {name}\n"
        yield from _paragraphs(command.help or "")
        yield f"```text\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```\n"
        records = _records(name, command)
        yield from _options([record for record in records if len(users[record]) == 1])
        # What every command takes is not said again for each.
        shared = [f"`{record.option.opts[-1]}`" for record in records if 1 < len(users[record]) < len(commands())]
        if shared:
            yield f"And [as other commands](#options-of-several-commands): {', '.join(shared)}.\n"
        yield from _examples(command)
    yield "## Options of several commands\n"
    yield from _options([record for record in users if len(users[record]) > 1], users)


def _paragraphs(text: str) -> Iterator[str]:
    """*text* with one sentence a line, and a line between its paragraphs."""
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        yield f"{_by_line(_plain(paragraph))}\n"


@dataclass(frozen=True)
class Record:
    """An option as the help page has it: equal if names and words are."""

    names: str
    words: str
    group: str
    option: click.Option = field(compare=False)


def _records(name: str, command: click.Command) -> list[Record]:
    """The options of a command."""
    context = _context(name, command)
    found = []
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if isinstance(option, click.Option) and record:
            found.append(Record(record[0], _plain(record[1]), _group_of(option), option))
    return found


def _users() -> dict[Record, list[str]]:
    """Each option with the commands that have it, in the same words."""
    found: dict[Record, list[str]] = {}
    for name, command in commands().items():
        for record in _records(name, command):
            found.setdefault(record, []).append(name)
    return found


def _options(records: Iterable[Record], users: Mapping[Record, Sequence[str]] | None = None) -> Iterator[str]:
    """The options by their groups, as the help page has them; with *users* the commands that have each."""
    groups: dict[str, list[list[str]]] = {}
    for record in records:
        of = [_of(users[record])] if users else []
        groups.setdefault(record.group, []).append([f"`{record.names}`", *of, record.words])
    for group in sorted(groups, key=list(_groups()).index):
        yield from _table([group.lower(), *(["of"] if users else []), "means"], groups[group])
        yield ""


def _of(names: Sequence[str]) -> str:
    left_out = [name for name in commands() if name not in names]
    if len(left_out) < 4:
        return f"all but {', '.join(f'`{name}`' for name in left_out)}" if left_out else "all"
    return ", ".join(f"`{name}`" for name in names)


def _groups() -> Sequence[str]:
    try:
        from rotation.cli.help_page import OPTION_GROUPS  # noqa: PLC0415
    except ImportError:
        return ["Option"]
    return list(OPTION_GROUPS)


def _group_of(option: click.Option) -> str:
    try:
        from rotation.cli.help_page import group_of  # noqa: PLC0415
    except ImportError:
        return "Option"
    return group_of(option)


def _examples(command: click.Command) -> Iterator[str]:
    examples: Mapping[str, str] = getattr(command, "examples", {})
    for what, arguments in examples.items():
        yield f"{what}:\n\n```sh\n{PROGRAM} {arguments}\n```\n"


def _exit_codes() -> Iterator[str]:
    codes = {name: getattr(command, "exit_codes", {}) for name, command in commands().items()}
    if any(codes.values()):
        yield "\n## By command\n"
        yield from _table(
            ["command", "0", "1", "2", "3"],
            ([f"`{name}`", *(_plain(each.get(code, "-")) for code in range(4))] for name, each in codes.items()),
        )


def _documents() -> Iterator[str]:
    parts: dict[str, tuple[str, Mapping[str, Any]]] = {"Counts": (f"{CellCounts.__doc__}", _counts())}
    for name in DOCUMENTS:
        schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
        yield f"## {name}\n\n{schema['title']}\nSchema: `{name}.schema.json`.\n"
        yield from _fields(schema)
        parts |= {part: (each["description"], each) for part, each in schema.get("$defs", {}).items()}
    yield "## Parts\n\nThese stand inside of the documents.\n"
    for name, (words, part) in sorted(parts.items()):
        # A document inside of another one has its own section.
        if name not in map(name_of, DOCUMENTS.values()):
            yield f"### {name}\n\n{_by_line(words)}\n"
            yield from _fields(part, whole=name == "Counts")


def _counts() -> dict[str, Any]:
    """The schema of the counts alone, which several parts have among their fields."""
    schema = json.loads((SCHEMAS / "run.schema.json").read_text())["$defs"]["TargetReport"]
    return {**schema, "properties": {name: schema["properties"][name] for name in COUNTS}}


def _fields(schema: Mapping[str, Any], *, whole: bool = False) -> Iterator[str]:
    fields = schema["properties"]
    counted = not whole and {*COUNTS} <= {*fields}
    rows = [
        [
            f"`{name}`",
            f"{_type(each)}{'' if name in schema.get('required', ()) else ', may be missing'}",
            each["description"],
        ]
        for name, each in fields.items()
        if not (counted and name in COUNTS)
    ]
    yield from _table(["field", "type", "means"], rows)
    yield "\nIt also has all fields of [Counts](#counts).\n" if counted else ""


_TYPES = {"string": "text", "integer": "number", "number": "number", "boolean": "true or false"}


def _type(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "$ref" in schema:
        kind = schema["$ref"].rpartition("/")[2]
        name = next((name for name, each in DOCUMENTS.items() if name_of(each) == kind), kind)
        return f"[{name}](#{name.lower()})"
    if "enum" in schema:
        return " or ".join(f"`{json.dumps(each)}`" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("type") == "object":
        return f"object of {_type(schema['additionalProperties'])}" if "additionalProperties" in schema else "object"
    return _TYPES.get(schema.get("type", ""), str(schema.get("type", "any value")))


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |" for cells in rows)


def _plain(text: str) -> str:
    """*text* of a help page for Markdown: in one line, and no bracket a link."""
    return re.sub(r"\s+", " ", text.replace("\b", "")).replace("[", "\\[").replace("<", "\\<").strip()


def _by_line(text: str) -> str:
    """*text* with one sentence a line."""
    return re.sub(r"(?<=[a-z0-9)`\]]\.) (?=[A-Z`\[-])", "\n", text)


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
