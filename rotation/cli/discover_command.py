"""`discover`: finds columns that hold tokens and that no target covers."""

from __future__ import annotations

import click

from rotation.cli.help_page import USAGE, HelpPage
from rotation.cli.shared_options import CommandContext, common_options, search_pace_option


@click.command(
    cls=HelpPage,
    examples={
        "Search the databases of ./rotation.toml": "discover --env-file .env",
        "Search a database; no key and no rotation.toml is needed": "discover --url '$DATABASE_URL'",
        "List the encrypted columns of SQLAlchemy models, too": "discover --env-file .env --models app.models:Base",
    },
    exit_codes={
        0: "no token column is uncovered",
        1: "a token column is uncovered",
        2: USAGE,
        3: "database error or interruption, or a table could not be read",
    },
)
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help="Database, such as sqlite:///app.db, or '$NAME' of a variable that holds it; repeatable.",
)
@click.option("--models", metavar="MODULE:ATTRIBUTE", multiple=True, help="SQLAlchemy models to import; repeatable.")
@click.option("--django", metavar="SETTINGS", help="Settings module of a Django project, whose models to import.")
@click.option("--schema", "schemas", multiple=True, metavar="SCHEMA", help="Only this one; repeatable.  [default: all]")
@click.option("--full", is_flag=True, help="Read every row.  [default: a sample of each large table]")
@search_pace_option
@common_options
def discover(  # noqa: PLR0913 - click's
    command: CommandContext,
    *,
    urls: tuple[str, ...],
    models: tuple[str, ...],
    django: str | None,
    schemas: tuple[str, ...],
    full: bool,
    full_speed: bool,
) -> int:
    """Find columns that hold Fernet tokens and that no target covers.

    Reads only. Searches every table of the databases of rotation.toml, or of --url, and prints the entries to add.
    With --full it also searches the other databases of a PostgreSQL server. It reports whatever it cannot read. With
    --models or --django it also lists the columns that models declare as encrypted, whether they hold tokens or not.
    """
    from keyring_core import Key, Keyring
    from keyring_core.environment import names_primary
    from rotation.applications import held_secrets, passphrase_in, recognised_steps, unopened
    from rotation.cli.new_key_command import derived_keys
    from rotation.configuration.sections import Declaration
    from rotation.configuration.urls import expand_url, for_folder, may_hold_password
    from rotation.declared.entries import declared_targets
    from rotation.discovery.discover import DatabaseUrl, SearchPlan, databases_of
    from rotation.output.discovery_text import render_discovery
    from rotation.output.documents.found import DiscoverJson

    folder = command.inputs.config_path.parent
    databases = [DatabaseUrl(expand_url(url, command.inputs.environ, "--url"), for_folder(url, folder)) for url in urls]
    named = [*(Declaration(models=each) for each in models), *([Declaration(django=django)] if django else [])]
    declared = command.declared_columns([*named, *command.inputs.models()])
    # Only a Django project says itself where its tables are.
    of_projects = declared_targets((each for each in declared if each.url), command.inputs.environ, folder)
    elsewhere = [] if databases else databases_of(of_projects)
    needed = not (databases or elsewhere)
    targets = command.targets(needed=needed) if needed or command.declares or command.inputs.is_configured else []
    # After the models, which may name key sets.
    keyrings = command.searched_keyrings()
    passphrase = None if None in keyrings else passphrase_in(command.inputs.environ)
    keyless = not keyrings and (passphrase is not None or (bool(urls) and not names_primary(command.inputs.environ)))
    if keyless:
        # An admin who looks for an application's tokens may have no key at hand.
        set_ = f"{passphrase.where} is no Fernet key" if passphrase else "no key is set"
        note = f"Note: {set_}, so every token counts as one that no key opens."
        if not passphrase:
            note += " With the application's key or passphrase in ENCRYPTION_KEY, the search says what opens them."
        command.streams.warn(note)
        keyring = Keyring(Key.generate())
    else:
        # If the keys of none can be loaded, that says why.
        keyring = command.keyring() if None in keyrings or not keyrings else next(iter(keyrings.values()))
    databases = databases or list({each.url: each for each in (*databases_of(targets), *elsewhere)}.values())
    plan = SearchPlan(
        databases,
        targets,
        keyrings or {None: keyring},
        full=full,
        schemas=schemas or None,
        ignored=command.inputs.ignored(),
        declared=declared,
        left_out=command.policy().unsearched_databases,
        keyless=keyless,
        full_speed=full_speed,
    )
    found = command.search(plan)
    if columns := unopened(found, command.key_sets()):
        secrets = [*([passphrase] if passphrase else []), *held_secrets(command.key_sets(), command.inputs.environ)]
        found.derived = derived_keys(command, columns, secrets, databases)
        if passphrase and not found.derived:
            command.streams.warn(f"Note: no known rule makes the key of these tokens of {passphrase.where}.")
    # An application whose columns are all covered needs no preset.
    if found.uncovered:
        [written, *others] = [database.written for database in databases]
        written = "" if others or may_hold_password(written) else written
        apps = command.inputs.file.apps if command.inputs.is_configured else ()
        found.recognised = recognised_steps(found.tables_seen, written, besides=apps)
    command.show(DiscoverJson.of(found, command.invocation), render_discovery(found, command.invocation))
    return found.exit_code
