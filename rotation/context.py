"""What a command or a program works with: its inputs, its key rings, its connections; and its targets and ledger."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from keyring_core import KeyConfigError, KeyConfigWarning, Keyring
from keyring_core.environment import Settings, load_settings, names_primary
from keyring_core.keyring import RotationKeyring
from keyring_core.sources import is_missing
from rotation.model.failures import UsageError
from rotation.model.watcher import Watcher
from rotation.world.atomic_file import behind_links, is_same
from rotation.world.inputs import Inputs
from rotation.world.outputs import Holds, Kept
from rotation.world.process import Streams, unwatched

if TYPE_CHECKING:
    from rotation.configuration.declarations import DeclaredColumn
    from rotation.configuration.key_sets import KeyPlaces, KeySet
    from rotation.configuration.key_sources import KeyCell
    from rotation.configuration.policy import Policy
    from rotation.configuration.sections import AppEntries, Declaration
    from rotation.discovery.discover import DatabaseUrl, SearchPlan
    from rotation.discovery.result import Discovery
    from rotation.discovery.survey import Survey
    from rotation.ledger.database import LedgerPlace
    from rotation.ledger.ledger import Ledger
    from rotation.model.target import Target
    from rotation.stores.connection import SharedConnections
    from rotation.world.key_rings import KeyRings


def entries_of_apps(apps: Iterable[Any]) -> Sequence[AppEntries]:
    """The entries that each `[[app]]` of a rotation.toml stands for. Raises SettingError."""
    from rotation.applications import presets_of  # noqa: PLC0415 - most files name no application

    return presets_of(apps)


class Context:
    """The inputs, key rings and connections of one command. A context manager: it closes the connections."""

    def __init__(  # noqa: PLR0913, PLR0917 - each stands by itself, and most callers give few of them
        self,
        process_environ: Mapping[str, str],
        config: Path | None = None,
        env_file: Path | None = None,
        streams: Streams | None = None,
        uses_config: bool = True,  # noqa: FBT001, FBT002 - a promise to programs
        key_set: str | None = None,
        declares: Callable[[], Sequence[DeclaredColumn]] | None = None,
        by: str | None = None,
    ) -> None:
        """Reads the dotenv file if *env_file* names one. Raises UsageError if it cannot be read.

        *process_environ*: the environment of the process. *config*: the path of rotation.toml; None: from
        ROTATION_CONFIG, or in the current folder. *env_file*: a dotenv file whose variables override those of the
        process; None: rotation.toml may name one. *uses_config*: False if options, not the file, name the target.
        """
        self.inputs = Inputs(process_environ, config, env_file, entries_of_apps, uses_config=uses_config)
        self.streams = streams or Streams()
        self.key_set = key_set
        """The key set of rotation.toml that this is about; None: the environment's own keys."""
        self.declares = declares
        """The encrypted columns of the application that runs in this process, in place of rotation.toml's targets."""
        self.by = by
        """Who runs the steps of keys, for the ledger; None: the user of the process, or the one who called sudo."""
        self.secrets: dict[str, Any] = {}
        """Settings of an application, in which targets find secrets of other packages that the environment lacks."""
        self._loaded: dict[str | None, Keyring | str] = {}
        """What `key_rings` has read so far."""
        self._implied: dict[str | None, None] = {}
        """The key sets that are not in rotation.toml, as far as models or options have named them."""
        self._named: Sequence[Target] | None = None
        """The targets of rotation.toml or of the models; None if nobody asked for them."""
        self.indexes: set[tuple[str, str, str]] = set()
        """Url, table and name of each blind index that a target of any key set has named so far."""
        if declares and not config and is_missing(self.inputs.config_path):
            self.inputs.uses_config = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        if "links" in self.__dict__:
            self.links.close()

    def targets(self, *, needed: bool = True) -> list[Target]:
        """The targets of rotation.toml. Raises UsageError, also without any target if one is *needed*.

        For an entry that names models it imports the application's code.
        """
        from rotation.declared.entries import declared_targets  # noqa: PLC0415 - as below

        columns = self.declares() if self.declares else self.declared_columns(self.inputs.file.declarations)
        for column in columns:
            self.secrets.update(column.secrets)
        if self.declares:
            targets = declared_targets(columns, self.inputs.environ)
        else:
            declared = declared_targets(columns, self.inputs.environ, self.inputs.file.path.parent) if columns else ()
            targets = self.inputs.file.targets(self.inputs.environ, needed=needed, declared=declared)
        self._implied.update(dict.fromkeys(target.keys for target in targets))
        self._name_indexes(targets)
        self._named = targets
        return targets

    def has_all_of(self, targets: Collection[Target]) -> bool:
        """True if *targets* are all that rotation.toml, or the models, named with these keys when asked last.

        Without a rotation.toml options name all that there is.
        """
        if self._named is None and not self.inputs.uses_config and is_missing(self.inputs.config_path):
            return True
        own = [target for target in self._named or () if target.keys == self.key_set]
        return bool(own) and {*own} == {*targets}

    def declared_columns(self, sources: Iterable[Declaration]) -> list[DeclaredColumn]:
        """The encrypted columns of the models of *sources*; imports the application's code. Raises UsageError."""
        from rotation.declared.entries import declared_columns  # noqa: PLC0415 - brings msgspec

        folder = self.inputs.config_path.parent
        found = [column for source in sources for column in declared_columns(source, folder, self.inputs.environ)]
        self._implied.update(dict.fromkeys(column.key_set for column in found))
        return found

    def _name_indexes(self, targets: Iterable[Target]) -> None:
        self.indexes.update((each.url, each.table, each.index.column) for each in targets if each.index)

    def key_sets(self) -> Mapping[str, KeySet | None]:
        """The key sets of rotation.toml, and None for each that only models or options have named. Raises UsageError.

        The keys of the latter are in the variables that services read.
        """
        written = self.inputs.key_sets
        return {**written, **{name: None for name in self._implied if name is not None and name not in written}}

    def keys_in_use(self) -> set[str | None]:
        """The key sets that targets have; None: the environment's own keys. Imports models. Raises UsageError."""
        if self.declares:
            in_use = {column.key_set for column in self.declares()}
        elif self.inputs.is_configured:
            declared = self.declared_columns(self.inputs.file.declarations)
            in_use = {each.keys for each in self.inputs.file.entries} | {column.key_set for column in declared}
        else:
            in_use = set()
        self._implied.update(dict.fromkeys(in_use))
        return in_use

    def with_keys(self, key_set: str | None) -> Self:
        """The same with the keys of another set, sharing the connections. Raises UsageError if the set is missing."""
        if key_set == self.key_set:
            return self
        if key_set is not None:
            from rotation.configuration.key_sets import check_name  # noqa: PLC0415 - as above

            check_name(key_set, self.key_sets(), self.inputs.environ, "--keys")
            self._implied[key_set] = None
        other = copy.copy(self)
        other.key_set, other.__dict__["links"] = key_set, self.links
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

        return service_name(self.inputs.environ, self.key_set)

    def policy(self) -> Policy:
        """The policy of rotation.toml, or the default one without that. Raises UsageError."""
        return self.inputs.policy

    def watch(self, *, dry_run: bool) -> AbstractContextManager[Watcher]:
        """A watcher of a run, or of a dry one; a subclass may show a progress bar."""
        del dry_run
        return nullcontext(unwatched)

    def keyring(self) -> Keyring:
        """The keyring of the environment; warnings about keys go to stderr. Raises KeyConfigError."""
        with self.reporting_warnings():
            return self.load_keyring()

    def load_keyring(self) -> Keyring:
        """The keyring of this key set. Raises KeyConfigError, and gives warnings."""
        keyring = self._loaded[self.key_set] = RotationKeyring(*self.load_settings(self.inputs.environ))
        return keyring

    def searched_keyrings(self) -> dict[str | None, Keyring]:
        """The keyrings of all key sets, for a search of all columns. Warns of each set that cannot be loaded.

        Raises KeyConfigError if none of these sets can be, and the environment names no keys.
        """
        found = self.key_rings().every()
        faults = {name: fault for name, fault in self._loaded.items() if name and isinstance(fault, str)}
        if faults and not found and not names_primary(self.inputs.environ):
            raise KeyConfigError(next(iter(faults.values())))
        for name, fault in faults.items():
            whose = f"[keys.{name}] cannot be loaded, so that its tokens count as ones that no key opens"
            self.streams.warn(f"Note: {whose}. {fault}")
        return found

    def load_settings(self, environ: Mapping[str, str]) -> Settings:
        """The keys that *environ* has for this key set. Raises KeyConfigError, and gives warnings."""
        if self.key_set is not None:
            return self.key_rings(environ).settings()
        try:
            return load_settings(environ)
        except KeyConfigError as error:
            hint = None if names_primary(environ) or self.inputs.env_file else self.inputs.file_of_keys()
            if hint is None:
                raise
            raise KeyConfigError(f"{error}\n{hint}") from None

    @property
    def keys(self) -> KeyPlaces:
        """The keys that this is about, by their name and the sets of rotation.toml. Raises UsageError."""
        from rotation.configuration.key_sets import KeyPlaces  # noqa: PLC0415 - brings msgspec

        return KeyPlaces(self.key_set, self.key_sets(), str(self.inputs.config_path.parent.absolute()))

    def key_rings(self, environ: Mapping[str, str] | None = None) -> KeyRings:
        """The keyrings of all key sets, each read once; or as they are in *environ* now. Raises UsageError."""
        from rotation.world.key_rings import KeyRings  # noqa: PLC0415 - brings msgspec

        if environ is None:
            return KeyRings(self.keys, self.inputs.environ, self._read_cell, self._loaded)
        return KeyRings(self.keys, environ, self._read_cell)

    def _read_cell(self, cell: KeyCell, keyring: Keyring) -> bytes | None:
        """Reads a key that is a token in *cell* by the connections of this command."""
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
        skew = self.inputs.any_policy().max_clock_skew
        ledger = Ledger.open(place.url, place=place, wait=self.streams.wait, skew=skew)
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
        for kept in (*self.inputs.key_files(), Kept(self.inputs.config_path, Holds.CONFIG)):
            if is_same(file, kept.path):
                raise UsageError(f"the ledger of {place.named_by}: {kept.holds.value}; name a file of its own")

    def ledger_place(self) -> LedgerPlace | None:
        """The place of the ledger that `open_ledger` opens. Raises UsageError."""
        from rotation.ledger.database import find_ledger  # noqa: PLC0415 - few commands need it

        named = self.inputs.surroundings
        return find_ledger(
            self.inputs.environ, named.ledger if named else None, self.inputs.config_path if named else None
        )

    def search_plan(
        self, targets: Sequence[Target], keyring: Keyring, databases: Sequence[DatabaseUrl] | None = None
    ) -> SearchPlan:
        """A search of a sample of all columns of *databases*, or of the databases of *targets*. Raises UsageError."""
        from rotation.discovery.discover import SearchPlan, databases_of  # noqa: PLC0415 - brings SQLAlchemy

        self._loaded[self.key_set] = keyring
        return SearchPlan(
            databases_of(targets) if databases is None else databases,
            targets,
            self.key_rings().every() or {None: keyring},
            ignored=self.inputs.ignored(),
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
