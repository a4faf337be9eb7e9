"""`init`: the one command to begin: rotation.toml, and a dotenv file for the keys."""

from __future__ import annotations

from pathlib import Path

import click

from keyring_core.environment import ROTATION_CONFIG
from keyring_core.key_files import is_missing
from rotation.cli.completion import preset_names
from rotation.cli.help_page import UNWRITTEN, USAGE, HelpPage
from rotation.cli.options import Process, path_option
from rotation.cli.presentation import presentation_options
from rotation.cli.questions import ask, on_terminal
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
    shell_complete=preset_names,
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
@presentation_options
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
) -> int:
    """Begin: find the columns that hold tokens, and write rotation.toml.

    Reads the database, and writes nothing there. On a terminal it asks for what no option says. It overwrites no file,
    and changes no key. With --app it writes the entry of a known application, and prints what to do from there, step by
    step.
    """
    from rotation.cli.init_application import begin_application, list_applications

    if name == "":
        return list_applications(process, as_json=as_json, quiet=quiet)
    asks = not as_json and on_terminal(process.streams.stdout)
    if asks and name is None and url is None and not append:
        question = "Is it one of the known applications? Name, or Enter for your own service"
        name = ask(question, check=_check_application) or None
    config = config or Path(process.environ.get(ROTATION_CONFIG) or "rotation.toml")
    if name is not None:
        if new_key:
            raise UsageError("--app and --new-key exclude each other; the steps of --app say how to make its key")
        return begin_application(process, name, url, config, env_file, append=append, as_json=as_json, quiet=quiet)
    if url is None and not asks and not (append and not is_missing(config)):
        raise UsageError("say what to begin with; nothing was written", *_WAYS)
    from rotation.cli.init_service import Wanted, begin_service

    return begin_service(process, Wanted(url, config, env_file, new_key, append, asks), as_json=as_json, quiet=quiet)


def _check_application(name: str) -> None:
    """Raises UsageError for a name that no known application has; an empty one is none."""
    from rotation.configuration.presets import load_preset

    fault = None
    try:
        if name:
            load_preset(name)
    except UsageError as error:
        fault = str(error)
    if fault:
        raise UsageError(f"{fault}. Only these need a name: for a service of your own, press Enter")
