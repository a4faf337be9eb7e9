"""`init` for a known application: the texts of its files, its steps, and what to know of it. Writes nothing."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rotation.applications.order_of_work import preset_steps
from rotation.applications.presets import Preset, PresetStep, presets_of
from rotation.configuration.config_file import read_toml
from rotation.configuration.urls import for_folder
from rotation.model.failures import UsageError
from rotation.model.next_steps import shell_word


class Beginning(NamedTuple):
    """What `init` writes and says for one application."""

    config: str
    """The new text of rotation.toml."""
    variables: str
    """The text of the dotenv file: empty variables, each with what goes in."""
    steps: list[PresetStep]
    words: list[str]
    """What to know of the application, a line each."""


def begin(preset: Preset, config: Path, env_file: Path | None, program: str, *, append: bool) -> Beginning:
    """The beginning with the application of *preset*.

    Raises UsageError if *config* is there, unless *append* is given and the entry fits in, and if *env_file* is there.
    """
    entry = f"[[app]]\nname = {json.dumps(preset.name)}\nurl = {json.dumps(for_folder(preset.url, config.parent))}\n"
    text = _config_text(config, entry, append=append)
    if env_file and env_file.exists():
        raise UsageError(f"--env-file {env_file}: is there already; nothing was changed. Name a new file")
    lines = [f"# Variables of the preset {preset.name}. Secrets: never commit this file.", ""]
    for variable, words in preset.variables().items():
        lines += [f"# {words}", f"{variable}=", ""]
    steps = preset_steps(preset, str(env_file) if env_file else None, program)
    return Beginning(text, "\n".join(lines), steps, [*_words(preset, env_file, append=append)])


def _config_text(path: Path, entry: str, *, append: bool) -> str:
    """The new text of *path*."""
    if not path.exists():
        return f"# Which columns hold tokens, and which keys open them: from the preset.\n{entry}"
    if not append:
        words = f"{path}: is there already; nothing was changed. Add this to it, or say --append:"
        raise UsageError(words, "", *entry.splitlines())
    fault, text = None, ""
    try:
        read_toml(path)
        text = f"{path.read_text().rstrip()}\n\n{entry}"
        presets_of(tomllib.loads(text)["app"])
    except (OSError, ValueError) as error:
        fault = (error.strerror if isinstance(error, OSError) else str(error)) or "cannot be read"
    if fault:
        raise UsageError(f"{path}: {fault}; nothing was changed")
    return text


def _words(preset: Preset, env_file: Path | None, *, append: bool) -> Iterator[str]:
    yield f"{preset.title}: {preset.proof}."
    yield from (f"Note: {words}" for words in preset.limits)
    yield from (f"Not verified: {words}" for words in preset.unverified)
    yield f"With a wrong key: {preset.wrong_key}"
    if env_file:
        yield f"Fill in {shell_word(str(env_file))}, and keep it out of version control."
    else:
        make = f"Make a file {preset.name}.env that only you can read (--env-file would have made it), with:"
        yield "Add these variables to the dotenv file that your commands read:" if append else make
        yield from (f"  {name}: {words}" for name, words in preset.variables().items())
