"""Facts gathered at the edge: keys and their files, the ledger, and one census of each target."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from keyring_core import KeyConfigError, KeyConfigWarning, Keyring, KeyringError, KeyState, UndecryptableToken
from keyring_core.config import KEY_VARIABLES, load_keyring
from keyring_core.errors import WeakKeyError, WeakKeyWarning
from keyring_core.key_files import key_path
from rotation.checks.book import Book, Entries
from rotation.checks.facts import ARCHIVE, Facts, KeyFile, TargetFacts
from rotation.discovery.discover import Discovery, discover, places_of
from rotation.discovery.survey import Survey
from rotation.ledger.census_record import census_record
from rotation.ledger.ledger import utc_now
from rotation.ledger.records import KEPT_CENSUS_PROBLEMS, CensusRecord
from rotation.ledger.titles import titles
from rotation.ledger.unexplained import carried
from rotation.model.failures import StoppedError
from rotation.model.report import TargetReport
from rotation.model.row_marks import pack
from rotation.model.targets import Target

FILE = "_FILE"

Look = Callable[[Target, Keyring], TargetReport]
"""A census of one target. Raises KeyringError where it cannot be taken."""


@dataclass
class Keys:
    """The keys of an environment, or why they cannot be loaded."""

    keyring: Keyring | None = None
    fault: str | None = None
    weak: list[str] = field(default_factory=list)

    @property
    def states(self) -> dict[str, KeyState]:
        """Every key's state, by id; none where they cannot be loaded."""
        return {key.id: state for key, state in self.keyring.states.items()} if self.keyring else {}


def load_keys(environ: Mapping[str, str], tell: Callable[[str], None]) -> Keys:
    """The keys of *environ*; a fault is a fact here, and so is a weak key. *tell* is told what should be tidied up."""
    keys = Keys()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", KeyConfigWarning)
        try:
            keys.keyring = load_keyring(environ)
        except KeyConfigError as error:
            keys.fault = str(error)
            if isinstance(error, WeakKeyError):
                keys.weak.append(str(error))
    for warning in caught:
        if issubclass(warning.category, WeakKeyWarning):
            keys.weak.append(str(warning.message))
        else:
            tell(f"Warning: {warning.message}")
    return keys


def key_files(environ: Mapping[str, str], env_file: Path | None) -> Iterator[KeyFile]:
    """The files that hold keys, with their modes; one that is missing is told where the keys are loaded."""
    named = [(name + FILE, environ[name + FILE]) for name in KEY_VARIABLES if environ.get(name + FILE)]
    if env_file and any(environ.get(name) for name in KEY_VARIABLES):
        named.append(("--env-file", str(env_file)))
    for variable, value in named:
        with suppress(OSError, ValueError):
            path = key_path(value, environ, variable)
            yield KeyFile(variable, str(path), path.stat().st_mode)


def archive_files(archives: Iterable[str]) -> Iterator[KeyFile]:
    """The archives of retired keys that still stand where `keys retire` wrote them, with their modes."""
    for path in dict.fromkeys(archives):
        with suppress(OSError, ValueError):
            yield KeyFile(ARCHIVE, path, Path(path).stat().st_mode)


def look_around(  # noqa: PLR0913 - what a look stands on
    facts: Facts,
    targets: Sequence[Target],
    keyring: Keyring,
    entries: Entries,
    *,
    look: Look,
    open_survey: Callable[[str], Survey],
    sample: int | None = None,
) -> Facts:
    """*facts*, and what one census of each target shows, and a search for columns that no target names.

    Raises StoppedError where somebody asked to stop.
    """
    seen: list[TargetFacts] = []
    unreached: dict[str, str] = {}
    for target, title in titles(targets).items():
        report = _look_at(target, keyring, look)
        if isinstance(report, str):
            unreached[title] = report
            continue
        census = census_record(report, keyring.primary.id, facts.service, utc_now(), sampled=sample is not None)
        census = carried(census, entries.censuses)
        before = next((each for each in entries.checked if each.place == census.place), None)
        counts = report.counts
        unopened = counts.categories[UndecryptableToken.category]
        seen.append(TargetFacts(census, before, counts.nested, unopened, tuple(counts.lost), title))
    search, fault = _search(targets, keyring, open_survey)
    facts = replace(facts, search=search)
    return replace(
        facts,
        targets=tuple(seen),
        unreached=unreached,
        sample=sample,
        unnamed=tuple(column.label for column in facts.uncovered),
        unnamed_fault=fault,
        partial=any(target.where for target in targets),
    )


def kept(facts: Facts) -> Iterator[CensusRecord]:
    """The censuses as the ledger is to keep them."""
    for target in facts.targets:
        census = replace(target.census, checked=True)
        if target.census.sampled and target.before is not None:
            # Rows that a sample leaves out are not mended: or each would be new when it is drawn again.
            marks = pack(census.unreadable_marks | target.before.unreadable_marks)
            problems = _union(census.problems, target.before.problems)
            census = replace(census, problems=problems, unreadable_rows=marks)
        yield census


def gather(book: Book, keys: Keys, files: Iterable[KeyFile]) -> Facts:
    """What is known without looking at a target."""
    entries = book.entries
    return Facts(
        service=book.service,
        keys=keys.states if keys.keyring else None,
        keys_fault=keys.fault,
        weak=tuple(keys.weak),
        key_files=(*files, *archive_files(entries.archives)),
        ledger_fault=entries.fault,
        ledger_unwritten=entries.unwritten,
        records=entries.records,
        runs=entries.runs,
        begun=entries.begun,
        instances=entries.instances,
        latest=entries.latest,
        known=entries.censuses,
    )


def _look_at(target: Target, keyring: Keyring, look: Look) -> TargetReport | str:
    """Its report, or why there is none."""
    try:
        report = look(target, keyring)
    except StoppedError:
        raise
    except KeyringError as error:
        return str(error)
    return report if report.stopped is None else report.stopped


def _search(
    targets: Sequence[Target], keyring: Keyring, open_survey: Callable[[str], Survey]
) -> tuple[Discovery | None, str | None]:
    """A search of all columns, from a sample of each table; and what was not looked at.

    Raises StoppedError where somebody asked to stop.
    """
    try:
        found = discover(places_of(targets), targets, keyring, open_survey, full=False, schemas=None)
    except StoppedError:
        raise
    except KeyringError as error:
        return None, str(error)
    unseen = [f"{remark.subject} cannot be looked at: {remark.words}" for remark in found.unseen]
    return found, "; ".join(unseen) or None


def _union(first: Iterable[dict[str, object]], second: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    known = {repr(problem): problem for problem in (*first, *second)}
    return list(known.values())[:KEPT_CENSUS_PROBLEMS]
