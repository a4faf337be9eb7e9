"""`discover`: columns that hold tokens and that no target names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from rotation.cli.options import Command, common_options

if TYPE_CHECKING:
    from rotation.model.targets import Target


@click.command()
@click.option("--url", "urls", multiple=True, help="Database, or $NAME of a variable that holds it; repeatable.")
@click.option("--schema", "schemas", multiple=True, help="Only this schema; repeatable. Default: all.")
@click.option("--full", is_flag=True, help="Look at every row; default: a sample of each large table.")
@common_options
def discover(command: Command, *, urls: tuple[str, ...], schemas: tuple[str, ...], full: bool) -> int:
    """Find columns that hold Fernet tokens and that no target names. Reads only.

    Looks through every table of the databases of rotation.toml, or of --url, and prints the entries to add. With --full
    it also enters the other databases of a PostgreSQL server. What it cannot look at is named.
    """
    from rotation.discovery.discover import DatabaseUrl, databases_of
    from rotation.discovery.discover import discover as look
    from rotation.model.targets import expand_url

    keyring = command.keyring()
    databases = [DatabaseUrl(expand_url(url, command.environ, "--url"), url) for url in urls]
    targets = _targets(command, needed=not urls)

    found = look(
        databases or databases_of(targets), targets, keyring, command.open_survey, full=full, schemas=schemas or None
    )
    if command.as_json:
        command.print_json(found.document())
    else:
        from rotation.output.discovery_text import render_discovery

        for part in render_discovery(found):
            command.say(part)
    return found.exit_code


def _targets(command: Command, *, needed: bool) -> list[Target]:
    """Those of rotation.toml; without one, none where a --url says where to look."""
    from rotation.model.targets import load_targets

    path = command.config_path()
    if not needed and command.config is None and not path.exists():
        return []
    return load_targets(path, command.environ)
