"""The context of a command or program: environment, files, ledger, connections, streams and a request to stop."""

from __future__ import annotations

import copy
import shlex
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from keyring_core import KeyConfigError, KeyConfigWarning, Keyring
from keyring_core.environment import ROTATION_CONFIG, Settings, key_files_in, load_settings, names_primary
from keyring_core.keyring import RotationKeyring
from keyring_core.sources import is_missing, key_path
from rotation.configuration.env_file import OPTION, environment, read_env_file
from rotation.configuration.urls import find_url
from rotation.model.atomic_file import behind_links, is_same
from rotation.model.failures import UsageError
from rotation.model.outputs import Holds, Kept
from rotation.model.streams import Streams
from rotation.model.watcher import Watcher

if TYPE_CHECKING:
    from rotation.configuration.config_file import ConfigFile, Surroundings
    from rotation.configuration.declarations import DeclaredColumn
    from rotation.configuration.key_sets import Keys, KeySet
    from rotation.configuration.key_sources import KeyCell
    from rotation.configuration.policy import Policy
    from rotation.configuration.sections import AppEntries, Declaration, Ignored
    from rotation.discovery.discover import DatabaseUrl, SearchPlan
    from rotation.discovery.result import Discovery
    from rotation.discovery.survey import Survey
    from rotation.ledger.database import LedgerPlace
    from rotation.ledger.ledger import Ledger
    from rotation.model.target import Target
    from rotation.stores.connection import SharedConnections

_NAMES_NO_FILE = (
    "There is no {}, which could name the file of the keys: change to its folder, or name it with --config, or name "
    "the keys' own file with --env-file."
)

_IS_NOT_READ = (
    "If options name the target, {} is not read, nor is the file of the keys that it names: add --env-file {}"
)


class Dotenv(NamedTuple):
    """A dotenv file."""

    path: Path
    named_by: str
    """The option or the setting that names it, for messages."""


def entries_of_apps(apps: Iterable[Any]) -> Sequence[AppEntries]:
    """The entries that each `[[app]]` of a rotation.toml stands for. Raises SettingError."""
    from rotation.applications import presets_of  # noqa: PLC0415 - most files name no application

    return presets_of(apps)


@dataclass
class Context:
    """The environment of one command, with its ledger and its connections. A context manager: it closes them."""

    process_environ: Mapping[str, str]
    """The environment of the process."""
    config: Path | None = None
    """The path of rotation.toml; None: from ROTATION_CONFIG, or in the current folder."""
    env_file: Path | None = None
    """A dotenv file whose variables override those of the process; None: rotation.toml may name one."""
    streams: Streams = field(default_factory=Streams)
    uses_config: bool = True
    """True if rotation.toml is read; False if options name the target."""
    key_set: str | None = None
    """The key set of rotation.toml that this is about; None: the environment's own keys."""
    declares: Callable[[], Sequence[DeclaredColumn]] | None = None
    """The encrypted columns of an application that runs in this process: its targets, in place of rotation.toml's."""
    by: str | None = None
    """Who runs the steps of keys, for the ledger; None: the user of the process, or the one who called sudo."""

    def __post_init__(self) -> None:
        """Reads the dotenv file if one is given. Raises UsageError if it cannot be read."""
        self._given = environment(self.process_environ, self.env_file) if self.env_file else self.process_environ
        """The environment before rotation.toml, which this may name, is read."""
        self.secrets: dict[str, Any] = {}
        """Settings of an application, in which targets find secrets of other packages that the environment lacks."""
        self._implied: dict[str, None] = {}
        """The key sets that are not in rotation.toml, as far as models or options have named them."""
        self._named: Sequence[Target] | None = None
        """The targets of rotation.toml or of the models; None if nobody asked for them."""
        self.indexes: set[tuple[str, str, str]] = set()
        """Url, table and name of each blind index that a target of any key set has named so far."""
        if self.declares and not self.config and is_missing(self.config_path()):
            self.uses_config = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        if "links" in self.__dict__:
            self.links.close()

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The environment of the process and the dotenv file, as it was when first asked for. Raises UsageError."""
        return self._given if self.env_file else self.read_environ()

    @cached_property
    def dotenv(self) -> Dotenv | None:
        """The dotenv file that is read, and what names it: the option, otherwise rotation.toml. Raises UsageError."""
        if self.env_file:
            return Dotenv(self.env_file, OPTION)
        if self._surroundings is None or self._surroundings.env_file is None:
            return None
        path = self.config_path()
        return Dotenv(path.parent / self._surroundings.env_file, f"{path}, env_file:")

    def read_environ(self) -> dict[str, str]:
        """The environment with the dotenv file as it is now. Raises UsageError."""
        return {**self.process_environ, **self.read_env_file()}

    def read_env_file(self) -> dict[str, str]:
        """The variables of the dotenv file alone, as they are now. Raises UsageError."""
        return read_env_file(*self.dotenv) if self.dotenv else {}

    def config_path(self) -> Path:
        """The path of rotation.toml, which may not exist."""
        return self.config or Path(self._given.get(ROTATION_CONFIG) or "rotation.toml")

    @property
    def _has_config(self) -> bool:
        return self.uses_config and not is_missing(self.config_path())

    @property
    def is_configured(self) -> bool:
        """True if a rotation.toml is to be read: one that is named has to be there."""
        return self.uses_config and (self.config is not None or self._has_config)

    @cached_property
    def file(self) -> ConfigFile:
        """rotation.toml, which is read once. Raises UsageError, also if it is not there."""
        from rotation.configuration.config_file import read_config  # noqa: PLC0415 - brings TOML, msgspec

        return read_config(self.config_path(), entries_of_apps)

    @cached_property
    def _surroundings(self) -> Surroundings | None:
        """The settings at the top of rotation.toml; None if that is not there, or not read. Raises UsageError."""
        return self.file.surroundings() if self._has_config else None

    def targets(self, *, needed: bool = True) -> list[Target]:
        """The targets of rotation.toml. Raises UsageError, also without any target if one is *needed*.

        For an entry that names models it imports the application's code.
        """
        from rotation.declared.entries import declared_targets  # noqa: PLC0415 - as below

        columns = self.declares() if self.declares else self.declared_columns(self.file.declarations)
        for column in columns:
            self.secrets.update(column.secrets)
        if self.declares:
            targets = declared_targets(columns, self.environ)
        else:
            declared = declared_targets(columns, self.environ, self.file.path.parent) if columns else ()
            targets = self.file.targets(self.environ, needed=needed, declared=declared)
        self._imply(target.keys for target in targets)
        self._name_indexes(targets)
        self._named = targets
        return targets

    def has_all_of(self, targets: Collection[Target]) -> bool:
        """True if *targets* are all that rotation.toml, or the models, named with these keys when asked last.

        Without a rotation.toml options name all that there is.
        """
        if self._named is None and not self.uses_config and is_missing(self.config_path()):
            return True
        own = [target for target in self._named or () if target.keys == self.key_set]
        return bool(own) and {*own} == {*targets}

    def declared_columns(self, sources: Iterable[Declaration]) -> list[DeclaredColumn]:
        """The encrypted columns of the models of *sources*; imports the application's code. Raises UsageError."""
        from rotation.declared.entries import declared_columns  # noqa: PLC0415 - brings msgspec

        folder = self.config_path().parent
        found = [column for source in sources for column in declared_columns(source, folder, self.environ)]
        self._imply(column.key_set for column in found)
        return found

    def _name_indexes(self, targets: Iterable[Target]) -> None:
        self.indexes.update((each.url, each.table, each.index.column) for each in targets if each.index)

    def _imply(self, names: Iterable[str | None]) -> None:
        self._implied.update(dict.fromkeys(name for name in names if name is not None))

    def models(self) -> list[Declaration]:
        """The models that rotation.toml names for `check` and `discover` to look at. Raises UsageError."""
        return self.file.models() if self._has_config else []

    def ignored(self) -> list[Ignored]:
        """The columns that rotation.toml ignores; none if that is not there, or not read. Raises UsageError."""
        return self.file.ignored(self.environ) if self._has_config else []

    def key_sets(self) -> Mapping[str, KeySet | None]:
        """The key sets of rotation.toml, and None for each that only models or options have named. Raises UsageError.

        The keys of the latter are in the variables that services read.
        """
        written = self.file.key_sets() if self.is_configured else {}
        return {**written, **{name: None for name in self._implied if name not in written}}

    def keys_in_use(self) -> set[str | None]:
        """The key sets that targets have; None: the environment's own keys. Imports models. Raises UsageError."""
        if self.declares:
            in_use = {column.key_set for column in self.declares()}
        elif self.is_configured:
            declared = self.declared_columns(self.file.declarations)
            in_use = {each.keys for each in self.file.entries} | {column.key_set for column in declared}
        else:
            in_use = set()
        self._imply(in_use)
        return in_use

    def with_keys(self, key_set: str | None) -> Self:
        """The same with the keys of another set, sharing the connections. Raises UsageError if the set is missing."""
        if key_set == self.key_set:
            return self
        if key_set is not None:
            from rotation.configuration.key_sets import check_name  # noqa: PLC0415 - as above

            check_name(key_set, self.key_sets(), self.environ, "--keys")
            self._imply([key_set])
        other = copy.copy(self)
        other.key_set, other.__dict__["links"], other.__dict__["_loaded"] = key_set, self.links, self._loaded
        return other

    def by_keys(self, targets: Sequence[Target]) -> list[tuple[Self, list[Target]]]:
        """*targets* by their key sets, each part with the context that has its keys."""
        self._name_indexes(targets)
        names = dict.fromkeys(target.keys for target in targets)
        return [(self.with_keys(name), [target for target in targets if target.keys == name]) for name in names]

    @property
    def service(self) -> str:
        """The name in the ledger of the owner of these keys: the service, and its key set."""
        from rotation.ledger.ledger import service_name  # noqa: PLC0415 - brings SQLAlchemy

        return service_name(self.environ, self.key_set)

    def policy(self) -> Policy:
        """The policy of rotation.toml, or the default one without that. Raises UsageError."""
        from rotation.configuration.policy import Policy  # noqa: PLC0415 - brings msgspec

        return self.file.policy if self.is_configured else Policy()

    def clock_skew(self) -> timedelta:
        """The limit for the difference of two clocks. Reports no fault of rotation.toml."""
        from rotation.configuration.policy import Policy  # noqa: PLC0415 - as above

        with suppress(UsageError):
            return self.policy().max_clock_skew
        return Policy().max_clock_skew

    def suspend_days(self) -> int:
        """The days for which a key has to be suspended before it is retired. Reports no fault of rotation.toml."""
        with suppress(UsageError):
            return self.policy().suspend_days
        return 0

    def watch(self, *, dry_run: bool) -> AbstractContextManager[Watcher]:
        """A watcher of a run, or of a dry one; a subclass may show a progress bar."""
        del dry_run
        return nullcontext(lambda _: None)

    def keyring(self) -> Keyring:
        """The keyring of the environment; warnings about keys go to stderr. Raises KeyConfigError."""
        with self.reporting_warnings():
            return self.load_keyring()

    def load_keyring(self) -> Keyring:
        """The keyring of this key set. Raises KeyConfigError, and gives warnings."""
        keyring = self._loaded[self.key_set] = RotationKeyring(*self.load_settings(self.environ))
        return keyring

    def keyrings(self) -> dict[str | None, Keyring]:
        """The keyrings of all key sets that can be loaded, by name, the environment's own first; each is read once."""
        return self.keys.every(self.environ, self._loaded, self.read_cell)

    def searched_keyrings(self) -> dict[str | None, Keyring]:
        """As `keyrings`, for a search of all columns. Warns of each set of rotation.toml that cannot be loaded.

        Raises KeyConfigError if none of these sets can be, and the environment names no keys.
        """
        found = self.keyrings()
        faults = {name: fault for name, fault in self._loaded.items() if name and isinstance(fault, str)}
        if faults and not found and not names_primary(self.environ):
            raise KeyConfigError(next(iter(faults.values())))
        for name, fault in faults.items():
            whose = f"[keys.{name}] cannot be loaded, so that its tokens count as ones that no key opens"
            self.streams.warn(f"Note: {whose}. {fault}")
        return found

    def other_keyrings(self) -> list[tuple[str, Keyring]]:
        """The keyrings of all other key sets, each with its name in words; each is read once."""
        return self.keys.others(self.environ, self._loaded, self.read_cell)

    @cached_property
    def _loaded(self) -> dict[str | None, Keyring | str]:
        """The keyrings that were read, by key set; the fault of one that cannot be loaded."""
        return {}

    def load_settings(self, environ: Mapping[str, str]) -> Settings:
        """The keys that *environ* has for this key set. Raises KeyConfigError, and gives warnings."""
        if self.key_set is not None:
            return self.keys.settings(environ, self.read_cell)
        try:
            return load_settings(environ)
        except KeyConfigError as error:
            hint = None if names_primary(environ) or self.env_file else self._file_of_keys()
            if hint is None:
                raise
            raise KeyConfigError(f"{error}\n{hint}") from None

    def _file_of_keys(self) -> str | None:
        """A hint to the keys' own file, if rotation.toml is not read; None if it is read, or names no such file."""
        path, named = self.config_path(), None
        if self._has_config:
            return None
        if self.uses_config:
            return _NAMES_NO_FILE.format(path.absolute())
        with suppress(UsageError):
            named = self.file.surroundings().env_file
        return None if named is None else _IS_NOT_READ.format(path, shlex.quote(str(path.parent / named)))

    @property
    def keys(self) -> Keys:
        """The keys that this is about, by their name and the sets of rotation.toml. Raises UsageError."""
        from rotation.configuration.key_sets import Keys  # noqa: PLC0415 - brings msgspec

        return Keys(self.key_set, self.key_sets(), str(self.config_path().parent.absolute()))

    def read_cell(self, cell: KeyCell, keyring: Keyring) -> bytes | None:
        """The plaintext of a key that is a token in *cell*, by the connections of this command.

        Raises as `rotation.stores.key_cells.read_cell` does.
        """
        from rotation.stores.key_cells import read_cell  # noqa: PLC0415 - brings SQLAlchemy

        return read_cell(cell, keyring, wait=self.streams.wait, links=self.links)

    @contextmanager
    def reporting_warnings(self) -> Iterator[None]:
        """Prints each warning about keys on stderr, once."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", KeyConfigWarning)
            try:
                yield
            finally:
                for words in dict.fromkeys(str(warning.message) for warning in caught):
                    self.streams.warn(f"Warning: {words}")

    def open_ledger(self, *, make: bool = True) -> Ledger | None:
        """The ledger that the environment or rotation.toml names, otherwise the one beside that; None without either.

        Without *make* no file is created. Raises UsageError and LedgerError.
        """
        from rotation.ledger.ledger import Ledger  # noqa: PLC0415 - brings SQLAlchemy

        place = self.ledger_place()
        if place is None or not (make or place.file is None or place.file.exists()):
            return None
        self.check_ledger(place)
        ledger = Ledger.open(place.url, place=place, wait=self.streams.wait, skew=self.clock_skew())
        if ledger.migrated:
            self.streams.warn(ledger.migrated)
        return ledger

    def check_ledger(self, place: LedgerPlace) -> None:
        """Raises UsageError for an SQLite ledger in a file of keys, in rotation.toml, or behind another user's link."""
        from rotation.stores.databases import file_of  # noqa: PLC0415 - brings SQLAlchemy

        if (file := file_of(place.url)) is None:
            return
        with suppress(OSError, ValueError):
            if isinstance(fault := behind_links(Path(file)), str):
                raise UsageError(f"the ledger of {place.named_by}: {fault}")
        for kept in (*self.key_files(), Kept(self.config_path(), Holds.CONFIG)):
            if is_same(file, kept.path):
                raise UsageError(f"the ledger of {place.named_by}: {kept.holds.value}; name a file of its own")

    def key_files(self) -> list[Kept]:
        """The dotenv file, and the file of every key of the environment and of all key sets, also if it is not there.

        What cannot be read names no file, and a command that needs it fails by itself.
        """
        found: list[Kept] = []
        environ = self.process_environ
        sets: Mapping[str, KeySet | None] = {}
        with suppress(UsageError, KeyConfigError, OSError):
            found += [Kept(self.dotenv.path, Holds.VARIABLES)] if self.dotenv else []
        with suppress(UsageError, KeyConfigError, OSError):
            environ = self.environ
        with suppress(UsageError, KeyConfigError, OSError):
            sets = self.key_sets()
        named: list[str | None] = [*key_files_in(environ)]
        named += [source.file for keys in sets.values() if keys for _, _, source in keys.sources()]
        for name in filter(None, named):
            with suppress(KeyConfigError):
                found.append(Kept(key_path(name, environ, "file"), Holds.KEYS))
        return found

    def cell_urls(self) -> list[str]:
        """The urls of cells that hold keys, as far as they are set. Raises UsageError for a faulty rotation.toml."""
        found = []
        for source in (source for keys in self.key_sets().values() if keys for _, _, source in keys.sources()):
            with suppress(UsageError):
                if source.cell and source.url:
                    found.append(find_url(source.url, self.environ, "a key's cell", self.config_path().parent))
        return found

    def ledger_place(self) -> LedgerPlace | None:
        """The place of the ledger that `open_ledger` opens. Raises UsageError."""
        from rotation.ledger.database import find_ledger  # noqa: PLC0415 - few commands need it

        named = self._surroundings
        return find_ledger(self.environ, named and named.ledger, self.config_path() if named else None)

    def search_plan(
        self, targets: Sequence[Target], keyring: Keyring, databases: Sequence[DatabaseUrl] | None = None
    ) -> SearchPlan:
        """A search of a sample of all columns of *databases*, or of the databases of *targets*. Raises UsageError."""
        from rotation.discovery.discover import SearchPlan, databases_of  # noqa: PLC0415 - brings SQLAlchemy

        self._loaded[self.key_set] = keyring
        return SearchPlan(
            databases_of(targets) if databases is None else databases,
            targets,
            self.keyrings() or {None: keyring},
            ignored=self.ignored(),
            left_out=self.policy().unsearched_databases,
        )

    def search(self, plan: SearchPlan) -> Discovery:
        """Searches databases for tokens. Raises StoreError and UsageError."""
        from rotation.discovery.discover import discover  # noqa: PLC0415 - brings SQLAlchemy

        with self.watch(dry_run=True) as watcher:
            return discover(plan, self.open_survey, watcher)

    def open_survey(self, url: str) -> Survey:
        """The database at *url*, for a search for tokens. Raises UsageError and StoreError."""
        from rotation.discovery.survey import Survey  # noqa: PLC0415 - brings SQLAlchemy

        return Survey(url, sleep=self.streams.wait, links=self.links)

    @cached_property
    def links(self) -> SharedConnections:
        """The connections of this command, shared by all that it does in a database."""
        from rotation.stores.connection import SharedConnections  # noqa: PLC0415 - brings SQLAlchemy

        return SharedConnections(self.streams.wait)
