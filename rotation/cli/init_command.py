"""`init`: the one command to begin: rotation.toml, and a dotenv file for the keys.

For a known application, also the steps from there. For a service of your own, see `init_service`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from keyring_core.environment import ROTATION_CONFIG
from keyring_core.errors import printable
from keyring_core.sources import is_missing
from rotation.cli.help_page import UNWRITTEN, USAGE, HelpPage
from rotation.cli.init_questions import Wanted, ask, checked_url
from rotation.cli.shared_options import (
    Process,
    complete_preset,
    path_option,
    presentation_parameters,
    print_json,
    set_up,
)
from rotation.context import Context
from rotation.model.failures import UsageError
from rotation.model.next_steps import Next, Repeats

_WAYS = (
    Next(("init", "--url", "sqlite:///app.db"), "  a service of your own: ", repeats=Repeats.NONE),
    Next(("init", "--app", "redash"), "  a known application:   ", repeats=Repeats.NONE),
    Next(("init", "--app"), "  the list of these:     ", repeats=Repeats.NONE),
)
"""The ways to begin, if no option names one."""


@click.command(
    cls=HelpPage,
    examples={
        "Begin with a database": "init --url sqlite:///app.db",
        "Begin with an empty one, and make its key": "init --url sqlite:///app.db --new-key",
        "List the applications that are known": "init --app",
        "Begin with Airflow": "init --app airflow --env-file airflow.env",
    },
    exit_codes={
        0: "the files are written, or the applications are listed",
        1: "the files are written, and something needs a look, such as a key that is missing",
        2: USAGE,
        3: f"{UNWRITTEN}, or a database error: nothing was written",
    },
)
@click.option("--url", metavar="URL", help="Database to search, or '$NAME' of a variable that holds it.")
@click.option(
    "--app",
    "name",
    is_flag=False,
    flag_value="",
    metavar="NAME",
    shell_complete=complete_preset,
    help="A known application; without NAME, lists them.",
)
@path_option("--config", help="File to write.  [default: $ROTATION_CONFIG, or ./rotation.toml]")
@path_option(
    "--env-file", help="Dotenv file of the keys; with --app, a new file to fill in.  [default: .env; with --app none]"
)
@click.option(
    "--new-key", is_flag=True, help="Write a new key into the dotenv file, if no key is set and no token is there."
)
@click.option("--append", is_flag=True, help="Add to an existing rotation.toml what it lacks.")
@click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on stdout, and ask nothing.")
@presentation_parameters
@click.pass_obj
def init(  # noqa: PLR0913 - click's
    process: Process,
    *,
    url: str | None,
    name: str | None,
    config: Path | None,
    env_file: Path | None,
    new_key: bool,
    append: bool,
    as_json: bool,
    quiet: bool,
    verbose: int,
    log_format: str | None,
) -> int:
    """Begin: find the columns that hold tokens, and write rotation.toml.

    Reads the database, and writes nothing there. On a terminal it asks for what no option says. It overwrites no file,
    and changes no key. With --app it writes the entry of a known application, and prints what to do from there, step by
    step.
    """
    set_up(process.streams, quiet=quiet, verbose=verbose, log_format=log_format)
    if name == "":
        return _list_applications(process, as_json=as_json, quiet=quiet)
    is_terminal = sys.stdin is not None and sys.stdin.isatty() and process.streams.stdout.isatty()
    asks = not as_json and is_terminal
    if asks and name is None and url is None and not append:
        question = "Is it one of the known applications? Name, or Enter for your own service"
        name = ask(question, check=_check_application) or None
    config = config or Path(process.environ.get(ROTATION_CONFIG) or "rotation.toml")
    wanted = Wanted(url, config, env_file, new_key, append, asks)
    if name is not None:
        if new_key:
            raise UsageError("--app and --new-key exclude each other; the steps of --app say how to make its key")
        return _begin_application(process, name, wanted, as_json=as_json, quiet=quiet)
    if url is None and not asks and not (append and not is_missing(config)):
        raise UsageError("say what to begin with; nothing was written", *_WAYS)
    from rotation.cli.init_service import begin_service

    return begin_service(process, wanted, as_json=as_json, quiet=quiet)


def _check_application(name: str) -> None:
    """Raises UsageError for a name that no known application has; an empty name passes."""
    from rotation.applications import load_preset

    fault = None
    try:
        if name:
            load_preset(name)
    except UsageError as error:
        fault = str(error)
    if fault:
        raise UsageError(f"{fault}. Only these need a name: for a service of your own, press Enter")


def _begin_application(process: Process, name: str, wanted: Wanted, *, as_json: bool, quiet: bool) -> int:
    """Writes the files for the application *name*, and prints its steps. Raises UsageError, and overwrites no file."""
    from rotation.applications import begin, load_preset
    from rotation.kept_files import outputs_of
    from rotation.output.documents.parts import InitJson, StepJson
    from rotation.output.terminal import labelled, say
    from rotation.world.atomic_file import read_whole, replace_whole
    from rotation.world.inputs import DOTENV
    from rotation.world.outputs import CONFIG

    config, env_file, program = wanted.config, wanted.env_file, process.invocation.program
    preset = load_preset(name)
    preset = preset.at(checked_url(wanted.url) or preset.url)
    # Both are checked before one is written.
    outputs = outputs_of(Context(process.environ, config, streams=process.streams))
    output = outputs.take(config, str(config), CONFIG)
    if env_file:
        outputs.take(env_file, f"--env-file {env_file}", DOTENV)
    text, variables, steps, words = begin(preset, config, env_file, program, append=wanted.append)
    with output.whole() as file:
        file.write(text.encode())
    if env_file:
        replace_whole(read_whole(env_file), variables.encode())
    written = [str(path) for path in (config, env_file) if path]
    if as_json:
        shown = [StepJson(step.do, step.run) for step in steps]
        print_json(InitJson(complete=True, app=name, files=written, steps=shown), process.streams.stdout)
    else:
        lines = [printable(f"Written: {', '.join(written)}"), *words]
        if not quiet:
            lines.append("")
            for number, step in enumerate(steps, 1):
                lines += [f"{number}. {step.do}", *([f"     {step.run}"] if step.run else [])]
        for line in lines:
            say(labelled(line, program), process.streams.stdout, process.environ)
    return 0


def _list_applications(process: Process, *, as_json: bool, quiet: bool) -> int:
    from rotation.applications import load_preset, preset_names
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
