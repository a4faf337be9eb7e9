"""The options that commands share, made ready: the environment, the keyring, the targets."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from keyring_core import KeyConfigWarning, Keyring
from keyring_core.config import LEDGER_URL, ROTATION_CONFIG, load_keyring
from rotation.context import World
from rotation.model.env_file import environment, read_env_file
from rotation.model.failures import UsageError

if TYPE_CHECKING:
    from rotation.discovery.survey import Survey
    from rotation.ledger.ledger import Ledger
    from rotation.model.policy import Policy
    from rotation.model.targets import Target
    from rotation.stores.connection import Links


@dataclass
class Common:
    """The options that every command takes, made ready."""

    world: World
    environ: Mapping[str, str]
    config: Path | None
    as_json: bool
    env_file: Path | None = None
    without_config: bool = False
    """Whether options name the target, so that no rotation.toml counts."""

    def config_path(self) -> Path:
        """Where rotation.toml is, or would be."""
        return self.config or Path(self.environ.get(ROTATION_CONFIG) or "rotation.toml")

    def open_ledger(self, *, make: bool = True) -> Ledger | None:
        """The ledger, where one applies: beside a rotation.toml that counts, or where ROTATION_LEDGER_URL says.

        Without *make* a file that is not there stays so. Raises UsageError and LedgerError.
        """
        from rotation.ledger.ledger import DEFAULT_FILE, Ledger, ledger_url

        path = None if self.without_config else self.config_path()
        if not self.environ.get(LEDGER_URL, "").strip() and (
            path is None or not path.is_file() or not (make or path.with_name(DEFAULT_FILE).exists())
        ):
            return None
        return Ledger.open(ledger_url(self.environ, path), wait=self.world.wait)

    def open_survey(self, url: str) -> Survey:
        """The database at *url*, to be looked through. Raises UsageError and StoreError."""
        from rotation.discovery.survey import Survey

        return Survey(url, sleep=self.world.wait, links=self.links)

    @cached_property
    def links(self) -> Links:
        """What all that this command does in a database goes through, so that it takes one connection."""
        from rotation.stores.connection import Links

        return Links(self.world.wait)

    def close(self) -> None:
        """Gives up the connections."""
        if "links" in self.__dict__:
            self.links.close()

    def in_env_file(self) -> dict[str, str]:
        """The variables of --env-file, as they stand there now."""
        return read_env_file(self.env_file) if self.env_file else {}

    def keyring(self) -> Keyring:
        """The keyring of the environment; what should be tidied up is told on stderr."""
        with self.telling_warnings():
            return load_keyring(self.environ)

    @contextmanager
    def telling_warnings(self) -> Iterator[None]:
        """While it is open, each warning about keys is told on stderr, once."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", KeyConfigWarning)
            try:
                yield
            finally:
                for words in dict.fromkeys(str(warning.message) for warning in caught):
                    self.world.tell(f"Warning: {words}")


def common_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds --config, --env-file and --json, and hands over a Common in their place."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="rotation.toml; default: $ROTATION_CONFIG, or ./rotation.toml.",
    )
    @click.option(
        "--env-file",
        type=click.Path(path_type=Path),
        help="Variables to read from a dotenv file; they win over the environment.",
    )
    @click.option("--json", "as_json", is_flag=True, help="Print exactly one JSON document on stdout.")
    @wraps(command)
    def wrapped(config: Path | None, env_file: Path | None, *, as_json: bool, **options: Any) -> int:
        world: World = click.get_current_context().obj
        environ = environment(world.environ, env_file)
        common = Common(world, environ, config, as_json, env_file)
        try:
            return command(common, **options)
        finally:
            common.close()

    return wrapped


def target_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds --url, --table, --column, --key-column, --where and --context, and hands over the targets in their place."""

    @wraps(command)
    def wrapped(common: Common, given: Given, **options: Any) -> int:
        return command(common, targets=find_targets(common, given), **options)

    return target_parameters(wrapped)


def target_parameters(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the same, and hands over what was given in their place; nothing is looked at yet."""

    @click.option("--url", help="Database, such as sqlite:///app.db, or $NAME of a variable that holds it.")
    @click.option("--table", help="Table, or schema.table.")
    @click.option("--column", "columns", multiple=True, help="Column that holds tokens; repeatable.")
    @click.option(
        "--key-column",
        "key_columns",
        multiple=True,
        help="Column of the row's key; repeatable. Default: the primary key.",
    )
    @click.option("--where", help="SQL condition on the rows to look at.")
    @click.option("--context", help="What its tokens are bound to, as in keyring.bind(CONTEXT).")
    @wraps(command)
    def wrapped(common: Common, **options: Any) -> int:
        return command(common, given=Given(*(options.pop(name) for name in Given._fields)), **options)

    return wrapped


class Given(NamedTuple):
    """A target as options name it."""

    url: str | None
    table: str | None
    columns: tuple[str, ...]
    key_columns: tuple[str, ...]
    where: str | None
    context: str | None


def find_policy(common: Common, given: Given) -> Policy:
    """That of rotation.toml; the usual one where options name the target. Raises UsageError."""
    from rotation.model.policy import Policy
    from rotation.model.targets import load_policy

    return Policy() if any(given) else load_policy(common.config_path())


def find_targets(common: Common, given: Given) -> list[Target]:
    """The targets of the options, or else of rotation.toml. Raises UsageError."""
    from rotation.model.targets import load_targets, make_targets, without_repeats

    if not any(given):
        return load_targets(common.config_path(), common.environ)
    if common.config:
        raise UsageError("--config and --url, --table, --column exclude each other")
    if not (given.url and given.table and given.columns):
        raise UsageError("--url, --table and --column go together: give all three, or none and a --config")
    common.without_config = True
    return without_repeats(make_targets(**given._asdict(), environ=common.environ))
