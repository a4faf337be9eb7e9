"""`init --app`: rotation.toml for a known application, a dotenv file to fill in, and the steps from there."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from keyring_core.names import printable
from rotation.cli.options import Process, print_json
from rotation.configuration.relative_urls import for_folder
from rotation.configuration.targets import may_hold_password
from rotation.context import Context
from rotation.model.failures import UsageError
from rotation.model.next_steps import quoted

if TYPE_CHECKING:
    from rotation.configuration.presets import Preset


def begin_application(  # noqa: PLR0913 - what the options say
    process: Process,
    name: str,
    url: str | None,
    config: Path,
    env_file: Path | None,
    *,
    append: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Writes the files for the application *name*, and prints its steps. Raises UsageError, and overwrites no file."""
    from msgspec import structs

    from rotation.configuration.env_file import DOTENV
    from rotation.configuration.preset_steps import preset_steps
    from rotation.configuration.presets import load_preset
    from rotation.kept_files import outputs_of
    from rotation.model.atomic_file import read_whole, replace_whole
    from rotation.model.outputs import CONFIG
    from rotation.output.documents.parts import InitJson, StepJson
    from rotation.output.terminal import labelled, say

    preset = load_preset(name)
    preset = structs.replace(preset, url=checked_url(url) or preset.url)
    entry = f"[[app]]\nname = {json.dumps(name)}\nurl = {json.dumps(for_folder(preset.url, config.parent))}\n"
    # Both are checked before one is written.
    outputs = outputs_of(Context(process.environ, config, streams=process.streams))
    output = outputs.take(config, str(config), CONFIG)
    if env_file:
        outputs.take(env_file, f"--env-file {env_file}", DOTENV)
    text, variables = _config_text(config, entry, append=append), _env_text(env_file, preset)
    with output.whole() as file:
        file.write(text.encode())
    if env_file:
        replace_whole(read_whole(env_file), variables.encode())
    program = process.invocation.program
    steps = preset_steps(preset, str(env_file) if env_file else None, program)
    written = [str(path) for path in (config, env_file) if path]
    if as_json:
        document = InitJson(
            complete=True, app=name, files=written, steps=[StepJson(step.do, step.run) for step in steps]
        )
        print_json(document, process.streams.stdout)
    else:
        lines = [printable(f"Written: {', '.join(written)}"), *_words(preset, env_file, append=append)]
        if not quiet:
            lines.append("")
            for number, step in enumerate(steps, 1):
                lines += [f"{number}. {step.do}", *([f"     {step.run}"] if step.run else [])]
        for line in lines:
            say(labelled(line, program), process.streams.stdout, process.environ)
    return 0


def list_applications(process: Process, *, as_json: bool, quiet: bool) -> int:
    """Prints the name of each known application, and what it holds."""
    from rotation.configuration.presets import load_preset, preset_names
    from rotation.output.documents.parts import InitJson

    presets = [load_preset(name) for name in preset_names()]
    if as_json:
        print_json(InitJson(complete=True, apps=[preset.name for preset in presets]), process.streams.stdout)
        return 0
    width = max(len(preset.name) for preset in presets)
    lines = [f"{preset.name:{width}}  {preset.title}: {preset.holds}" for preset in presets]
    if not quiet:
        lines.append(f"Next: begin with yours, for example: {process.invocation.program} init --app airflow")
    print("\n".join(lines), file=process.streams.stdout)
    return 0


def checked_url(url: str | None) -> str | None:
    """*url*. Raises UsageError if it may hold a password: rotation.toml is no place for one."""
    if url and may_hold_password(url):
        raise UsageError("--url: it may hold a password; put it into a variable, and write --url '$NAME'")
    return url


def _config_text(path: Path, entry: str, *, append: bool) -> str:
    """What to write to *path*. Raises UsageError if it is there, unless *append* is given and the entry fits in."""
    if not path.exists():
        return f"# Which columns hold tokens, and which keys open them: from the preset.\n{entry}"
    if not append:
        words = f"{path}: is there already; nothing was changed. Add this to it, or say --append:"
        raise UsageError(words, "", *entry.splitlines())
    from rotation.configuration.presets import with_presets
    from rotation.configuration.toml_file import read_toml

    fault, text = None, ""
    try:
        read_toml(path)
        text = f"{path.read_text().rstrip()}\n\n{entry}"
        with_presets(tomllib.loads(text))
    except (OSError, ValueError) as error:
        fault = (error.strerror if isinstance(error, OSError) else str(error)) or "cannot be read"
    if fault:
        raise UsageError(f"{path}: {fault}; nothing was changed")
    return text


def _env_text(path: Path | None, preset: Preset) -> str:
    """Empty variables, each with what goes in. Raises UsageError if the file is there."""
    if path and path.exists():
        raise UsageError(f"--env-file {path}: is there already; nothing was changed. Name a new file")
    lines = [f"# Variables of the preset {preset.name}. Secrets: never commit this file.", ""]
    for name, words in preset.variables().items():
        lines += [f"# {words}", f"{name}=", ""]
    return "\n".join(lines)


def _words(preset: Preset, env_file: Path | None, *, append: bool) -> Iterator[str]:
    yield f"{preset.title}: {preset.proof}."
    yield from (f"Note: {words}" for words in preset.limits)
    yield from (f"Not verified: {words}" for words in preset.unverified)
    yield f"With a wrong key: {preset.wrong_key}"
    if env_file:
        yield f"Fill in {quoted(str(env_file))}, and keep it out of version control."
    else:
        make = f"Make a file {preset.name}.env that only you can read (--env-file would have made it), with:"
        yield "Add these variables to the dotenv file that your commands read:" if append else make
        yield from (f"  {name}: {words}" for name, words in preset.variables().items())
