"""`discover`: finds columns that hold tokens and that no target covers."""

from __future__ import annotations

import click

from rotation.cli.options import Command, common_options


@click.command()
@click.option("--url", "urls", multiple=True, help="Database, or $NAME of a variable that holds it; repeatable.")
@click.option("--schema", "schemas", multiple=True, help="Only this schema; repeatable. Default: all.")
@click.option("--full", is_flag=True, help="Read every row; default: a sample of each large table.")
@common_options
def discover(command: Command, *, urls: tuple[str, ...], schemas: tuple[str, ...], full: bool) -> int:
    """Find columns that hold Fernet tokens and that no target covers. Reads only.

    Searches every table of the databases of rotation.toml, or of --url, and prints the entries to add. With --full it
    also searches the other databases of a PostgreSQL server. It reports whatever it cannot read.
    """
    from rotation.discovery.discover import DatabaseUrl, databases_of
    from rotation.discovery.discover import discover as search
    from rotation.model.targets import expand_url
    from rotation.output.discovery_text import render_discovery

    keyring = command.keyring()
    databases = [DatabaseUrl(expand_url(url, command.environ, "--url"), url) for url in urls]
    configured = command.config is not None or command.config_path().exists()
    targets = command.targets() if configured or not databases else []
    databases = databases or databases_of(targets)
    found = search(databases, targets, keyring, command.open_survey, full=full, schemas=schemas or None)
    command.show(found.document(), render_discovery(found))
    return found.exit_code
