"""Writes docs/applications.md and docs/applications/*.md from the presets, and from .ci/other_applications.toml.

`python .ci/application_pages.py` writes them; a test compares.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from keyring_core.derivation import SaltForm
from rotation.applications import Preset, load_preset, preset_names, preset_steps
from rotation.configuration.key_sources import KeySource, SaltColumn

ROOT = Path(__file__).parents[1]
PRESETS = "rotation/applications/known"
TABLE, FOLDER = ROOT / "docs" / "applications.md", ROOT / "docs" / "applications"
OTHERS = tomllib.loads((ROOT / ".ci" / "other_applications.toml").read_text())["application"]
BESIDE = {"superset"}
"""Presets of applications that hold Fernet tokens only after a setting; they are not counted."""
EVIDENCE = {
    "tried": "The commands of this page were typed as they stand here, and {} then read everything with the new key.",
    "by its source": "They were read in the sources below; the commands were typed on such tables, not with {} itself.",
}
FORMATS = {
    "token": "the cell is a token",
    "embedded": "tokens inside text or JSON",
    "base64": "tokens encoded in base64 again",
    "hex": "tokens encoded in hexadecimal digits again",
}


def pages() -> dict[Path, str]:
    """Every page, by its path."""
    presets = [load_preset(name) for name in preset_names()]
    return {TABLE: overview(presets)} | {FOLDER / f"{preset.name}.md": page(preset) for preset in presets}


def page(preset: Preset) -> str:
    """The page of one application."""
    return "\n".join([*_opening(preset), *_columns(preset), *_keys(preset), *_steps(preset), *_end(preset)])


def _opening(preset: Preset) -> Iterator[str]:
    title, name = preset.title, preset.name
    yield f"# Rotating the keys of {title}"
    source = f"{PRESETS}/{name}.toml"
    yield f"\n<!-- Made by .ci/application_pages.py from {source}: change that file. -->\n"
    yield f"{title} keeps Fernet tokens in its database: {preset.holds}."
    yield "`keyring-rotate` moves them to a new key."
    number = next(number for number, step in enumerate(preset_steps(preset), 2) if " discover" in step.run)
    yield (
        f"Tables, columns and keys come from {', '.join(preset.versions)}, last compared with its newest source on "
        f"{preset.read:%Y-%m-%d}."
    )
    yield EVIDENCE[preset.evidence].format(title)
    yield f"A newer version may have more columns with tokens: step {number} searches for them."
    if preset.way == "staged":
        yield f"{title} takes several keys and encrypts with the first one, so it keeps running meanwhile."
    else:
        yield f"{title} knows one key, so you stop it while its tokens move."
    yield from _list("Before you begin", [*preset.limits, *(f"Not verified: {words}." for words in preset.unverified)])


def _columns(preset: Preset) -> Iterator[str]:
    yield "\n## Where the tokens are\n"
    rows = []
    for target in preset.target:
        table = f"`{target.table}`{' (if it is there)' if target.optional else ''}"
        also = "".join(f"; writes `{column}` too: {kind}" for column, kind in target.set.items())
        also += "; tokens of other keys beside them stay" if target.others else ""
        rows.append(
            [table, _code(target.columns), f"{FORMATS[target.format]}{also}", _code(filter(None, [target.where]))]
        )
    yield from _table(["table", "columns", "what a cell holds", "only rows where"], rows)
    if preset.ignore:
        yield "\nThese columns are left alone:\n"
        yield from (
            f"- {_code(f'{part.table}.{column}' for column in part.columns)}: {part.reason}." for part in preset.ignore
        )


def _keys(preset: Preset) -> Iterator[str]:
    yield "\n## Which keys open them\n"
    rows = [
        [f"`{name}`", state, f"`{key.secret or key.cell}`", _derivation(key)]
        for name, keys in preset.keys.items()
        for state, _, key in keys.sources()
    ]
    yield from _table(["key set", "key", "variable", "how the key is made of it"], rows)
    yield f"\nThese variables are `keyring-rotate`'s, in `{preset.name}.env`."
    if preset.way == "offline":
        for name in sorted({setting.name for setting in preset.setting} & preset.variables().keys()):
            yield f"`{name}` there is the new one from the beginning."
            yield f"{preset.title}'s own `{name}` stays the old one until its tokens are moved."
    yield f"{preset.title} itself reads:\n"
    yield from (f"- `{setting.name}`: {setting.place}." for setting in preset.setting)


def _derivation(key: KeySource) -> str:
    parts = {"salt": key.salt, "info": key.info, "iterations": key.iterations}
    given = [f"{name} {_part(value)}" for name, value in parts.items() if value is not None]
    made = "the key itself" if key.derive == "raw" else f"`{key.derive}`"
    wrapped = [f"in this cell, as a token under `{key.keys}`"] if key.cell else []
    return ", ".join([made, *given, *wrapped])


def _part(value: str | int | SaltColumn) -> str:
    if not isinstance(value, SaltColumn):
        return f"`{value}`"
    number = "" if value.form is SaltForm.VALUE else f", as the text of the {value.form} whose number it is"
    return f"in the column `{value.column}` of the row{number}"


def _steps(preset: Preset) -> Iterator[str]:
    yield "\n## Step by step\n"
    yield "**1.** [Install `keyring-rotate`](../../README.md#install) with the driver of your database."
    yield "In an empty folder, write `rotation.toml`, and a dotenv file for the keys:"
    yield from _command(f"keyring-rotate init --app {preset.name} --env-file {preset.name}.env")
    for number, step in enumerate(preset_steps(preset), 2):
        yield f"**{number}.** {_by_line(step.do)}"
        yield from _command(step.run) if step.run else [""]


def _command(text: str) -> list[str]:
    return ["", "```sh", text, "```", ""]


def _end(preset: Preset) -> Iterator[str]:
    yield f"## If the key is wrong\n\n{_by_line(preset.wrong_key)}"
    if preset.overwrites:
        yield "So run `keyring-rotate status` before you switch: it names every token that your keys do not open."
    yield "\n## The same, written out\n"
    yield f'The entry `[[app]]` with `name = "{preset.name}"` stands for these.'
    yield "To change a target, put all of them in place of that entry, and edit them."
    yield "To change how a key is made, add only that `[keys.NAME]` beside it: it takes the place of the preset's.\n"
    yield "```toml"
    yield from _toml(preset)
    yield "```"
    yield from _list("Sources", [f"{words}." for words in preset.source])
    yield ""


def _toml(preset: Preset) -> Iterator[str]:
    for name, keys in preset.keys.items():
        yield f"[keys.{name}]"
        yield from (f"{role} = {_value(key)}" for role, key in to_builtins(keys).items())
        yield ""
    for target in preset.target:
        yield "[[target]]"
        yield from (f"{setting} = {_value(value)}" for setting, value in to_builtins(target).items())
    for ignored in preset.ignore:
        yield "\n[[ignore]]"
        yield f"table = {_value(ignored.table)}\ncolumns = {_value(ignored.columns)}\nreason = {_value(ignored.reason)}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_value(part)}" for name, part in value.items()) + " }"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value, ensure_ascii=False)


def overview(presets: Sequence[Preset]) -> str:
    """The page with the tables of all applications."""
    by_hand = [each for each in OTHERS if each["served"] == "by hand"]
    unserved = [each for each in OTHERS if each["served"] == "no"]
    counted = [preset.served for preset in presets if preset.name not in BESIDE]
    served = len(counted) + len(by_hand)
    return "\n".join(
        [
            "# Applications",
            "",
            f"<!-- Made by .ci/application_pages.py from {PRESETS} and .ci/other_applications.toml. -->",
            "",
            "`keyring-rotate init --app NAME` begins with one of these; without NAME it lists them.",
            "Each name leads to a page, with the steps and with what does not work.",
            "If yours is not here, [find its columns](how-to/find-columns.md).",
            "",
            *_table(
                ["application", "way", "known by"],
                _by_name([*map(_served_row, presets), *([_linked(each), "by hand", "its source"] for each in by_hand)]),
            ),
            "",
            "*Staged* ones keep running, *offline* ones stop meanwhile; [what the other words mean](#words).",
            "",
            "## Not served",
            "",
            *_table(
                ["application", "what it holds, and why not"],
                _by_name([other["title"], f"{_sentence(other['holds'])} {other['why']}"] for other in unserved),
            ),
            "",
            "## By hand",
            "",
            *(_by_line(f"- **{other['title']}**: {other['holds']}. {other['why']}", "  ") for other in by_hand),
            "",
            "## Words",
            "",
            "- *Staged* means that the application takes several keys, and keeps running.",
            "- *Offline* means that it knows one key, and that you stop it while its tokens move.",
            "- *By hand* means that there is no preset, and that [you write the targets](how-to/find-columns.md).",
            "- *In part* means that some of its tokens are not rotated, or not known: its page says which.",
            "- *Tried* means that the application's own code wrote rows, that the commands of its page were typed as "
            "they stand there, and that it then read everything with the new key alone.",
            "  If its own code is no package, the column type that it uses did so.",
            "- *Source* means that tables and keys were read in its code, and that the steps were tried on tables of "
            "that shape alone.",
            "",
            "Several applications may "
            "[share one rotation.toml](how-to/keys/key-sets.md#several-applications-in-one-file).",
            "",
            "## What was read, and when",
            "",
            "A newer version may have columns that are not known here: one step of each page searches for them.",
            "The words in brackets say [how a cell holds its tokens](how-to/find-columns.md#which-format).",
            "",
            *_table(["application", "what is rotated", "how it is known"], _by_name(map(_read_row, presets))),
            "",
            "The others were read in these sources:",
            "",
            *(
                f"- {other['title']}: {other['source']}."
                for other in sorted(OTHERS, key=lambda each: _key(each["title"]))
            ),
            "",
            "## In numbers",
            "",
            f"Of {served + len(unserved)} applications whose sources hold Fernet tokens, `keyring-rotate` serves "
            f"{served}: {len(counted)} by a preset ({counted.count('yes')} with every column that is known, "
            f"{counted.count('partly')} in part), and {len(by_hand)} by targets that you write by hand.",
            "Apache Superset has a preset, too, and is not counted: by default its cells are no Fernet tokens.",
            "",
        ]
    )


def _by_name(rows: Iterable[list[str]]) -> list[list[str]]:
    return sorted(rows, key=lambda row: _key(row[0]))


def _key(title: str) -> str:
    return title.lstrip("[").lower()


def _sentence(words: str) -> str:
    """*words* as a sentence of its own; a name in code keeps its first letter."""
    return f"{words[0].upper()}{words[1:]}."


def _linked(other: Mapping[str, str]) -> str:
    return f"[{other['title']}](#by-hand)"


def _served_row(preset: Preset) -> list[str]:
    part = {"yes": "", "partly": ", in part"}[preset.served]
    evidence = {"tried": "tried", "by its source": "source"}[preset.evidence]
    # The rest of it is in the last table; a cell here fits on a phone.
    version, *_ = preset.versions[0].split(",")
    return [f"[{preset.title}](applications/{preset.name}.md){part}", preset.way, f"{evidence}, {version}"]


def _read_row(preset: Preset) -> list[str]:
    columns = len({(target.table, column) for target in preset.target for column in target.columns})
    formats = ", ".join(dict.fromkeys(target.format for target in preset.target))
    return [
        preset.title,
        f"{preset.holds}: {columns} column{'' if columns == 1 else 's'} ({formats})",
        f"{preset.evidence}: {', '.join(preset.versions)}; read {preset.read:%Y-%m-%d}",
    ]


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{'---|' * len(headings)}"
    yield from (f"| {' | '.join(cells)} |" for cells in rows)


def _list(heading: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        yield f"\n## {heading}\n"
        yield from (f"- {_by_line(line, '  ')}" for line in lines)


def _by_line(text: str, indent: str = "") -> str:
    """*text* with one sentence a line."""
    return re.sub(r"(?<=[a-z0-9)`\]]\.) (?=[A-Z`\[])", f"\n{indent}", text)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.md"):
        old.unlink()
    for path, text in pages().items():
        path.write_text(text)
