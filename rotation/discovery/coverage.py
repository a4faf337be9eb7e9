"""The columns that targets and `[[ignore]]` entries name, and what that makes of a column with tokens."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from keyring_core import Keyring
from rotation.configuration.sections import Ignored
from rotation.discovery.result import Discovery, Remark
from rotation.discovery.table_source import SearchableTable, TableIdentity
from rotation.discovery.token_column import Share, TokenColumn, label
from rotation.model.failures import UsageError
from rotation.model.target import Target
from rotation.model.text import many

if TYPE_CHECKING:
    from rotation.discovery.survey import Survey

UNMATCHED = "an [[ignore]] of rotation.toml names it, and no column that was searched is called so"


class Coverage:
    """The targets and the `[[ignore]]` entries of one search, by the databases that it has opened."""

    def __init__(
        self, found: Discovery, ignored: Sequence[Ignored], keyrings: Mapping[str | None, Sequence[Keyring]]
    ) -> None:
        """Remarks go to *found*. *keyrings*: by the name of their key set."""
        self._found, self._ignores = found, Ignores(ignored)
        self.key_ids = {
            name: {key_id for keyring in those for key_id in keyring.states_by_id} for name, those in keyrings.items()
        }
        """The keys of each key set."""
        self._salted = {name for name, those in keyrings.items() for keyring in those if keyring.salt_columns}
        self._targets: dict[tuple[TableIdentity, str | None], list[Target]] = {}
        """The targets, by their columns."""
        self._indexes: set[tuple[TableIdentity, str]] = set()
        """The columns that targets name as their `index`."""
        self._urls: dict[tuple[object, ...], set[str]] = {}
        """The urls that lead to each database."""

    def add(self, survey: Survey, targets: Sequence[Target]) -> None:
        """Takes in a database, and the columns that *targets* in it name; one that is not there is remarked on."""
        self._urls.setdefault(survey.identity, set()).add(survey.url)
        for target in targets:
            try:
                schema, name, column = survey.find(target)
            except UsageError as error:
                # The message begins with the column's name if it is about the column.
                words = str(error).removeprefix(f"{target.label}: ")
                self._found.remarks.append(Remark(survey.name, target.label, words))
            else:
                table = survey.identity, schema, name
                self._targets.setdefault((table, column), []).append(target)
                if target.index:
                    self._indexes.add((table, target.index.column))

    def has_url(self, survey: Survey) -> bool:
        """True if a url that was named leads to that database."""
        return survey.identity in self._urls

    def schemas(self, survey: Survey) -> set[str | None]:
        """The schemas of the targets in that database."""
        return {schema for (identity, schema, _), _ in self._targets if identity == survey.identity}

    def is_target(self, table: SearchableTable, column: str) -> bool:
        """True if a target names that column."""
        return (table.identity, column) in self._targets

    def is_index(self, table: SearchableTable, column: str) -> bool:
        """True if a target names that column as its `index`."""
        return (table.identity, column) in self._indexes

    def reasons(self, survey: Survey, table: SearchableTable, *, is_new: bool) -> Mapping[str | None, str]:
        """Why columns of *table* are ignored, by name, which is noted if it *is_new*; None stands for all others."""
        reasons = self._ignores.reasons(self._urls.get(survey.identity, {survey.url}), table)
        for column, reason in reasons.items():
            if (table.identity, column) in self._targets:
                words = "a target and an [[ignore]] name it: it counts as the target's"
                self._found.remarks.append(Remark.on_column(table, column, words))
            elif is_new:
                self._found.ignored.append(Remark.on_column(table, column, reason))
        return reasons

    def unmatched(self) -> Iterator[Remark]:
        """A remark on each column, or table, that an `[[ignore]]` names and that was not found."""
        return self._ignores.unmatched()

    def judge(
        self, survey: Survey, table: SearchableTable, column: TokenColumn, reasons: Mapping[str | None, str]
    ) -> None:
        """Notes whether the column is covered or ignored, and otherwise how a target for it would have to be."""
        if targets := self._targets.get((table.identity, column.column)):
            wheres = [target.where for target in targets]
            column.covered, column.where = True, None if None in wheres else wheres[0]
            column.formats = tuple(dict.fromkeys(target.format for target in targets))
            column.others = "leave" if any(target.others for target in targets) else None
            column.key_sets = tuple(dict.fromkeys(target.keys for target in targets))
            column.salted = not self._salted.isdisjoint(column.key_sets)
            column.shares = self._shares(targets)
            return
        self._trace(survey, table, column)
        column.ignored = reasons.get(column.column, reasons.get(None))
        if column.ignored is None:
            column.key_columns, column.hint, column.add_key = survey.fit(table, column.column, column.format)
            tokens = {name: sum(column.under[key_id] for key_id in ids) for name, ids in self.key_ids.items()}
            # On a tie the environment's own keys, which come first.
            column.keys = max(tokens, key=tokens.__getitem__)
        elif column.unknown and self._found.full:
            remark = Remark.on_column(table, column.column, column.ignored)
            words = f"{remark.words}; {many(column.unknown, 'token')} in it that no key here opens"
            others = [each for each in self._found.ignored if each != remark]
            self._found.ignored = [*others, remark._replace(words=words)]

    def _trace(self, survey: Survey, table: SearchableTable, column: TokenColumn) -> None:
        """Notes what the database makes the column of, and whether that makes it a copy of targets' columns."""
        found = survey.origin(table.entry, column.column)
        if found is None:
            return
        column.refresh = found.refresh
        column.made_of = tuple(label(survey.name_in(each.table), each.column) for each in found.of)
        copied, shares = dict[str, None](), dict[Share, None]()
        for place, name in zip(found.of, column.made_of, strict=True):
            identities = {(survey.identity, *key) for key in survey.read_with(place.table)}
            for (identity, named), targets in self._targets.items():
                if identity in identities and place.column == named:
                    copied[name] = None
                    shares.update(dict.fromkeys(self._shares(targets)))
        column.copy_of, column.shares = tuple(copied), tuple(shares)

    def _shares(self, targets: Sequence[Target]) -> tuple[Share, ...]:
        return tuple(
            Share(
                target.keys,
                target.where,
                leaves=bool(target.others) or target.keys in self._salted,
                is_loaded=target.keys in self.key_ids,
            )
            for target in targets
        )


class Ignores:
    """The `[[ignore]]` entries, and what they have matched so far."""

    def __init__(self, entries: Sequence[Ignored]) -> None:
        self._columns = [(entry, column) for entry in entries for column in entry.columns or (None,)]
        self._matched: set[tuple[Ignored, str | None]] = set()

    def reasons(self, urls: Collection[str], table: SearchableTable) -> dict[str | None, str]:
        """The reasons for ignoring columns of *table*, by name; None stands for all others. *urls* lead to it."""
        found: dict[str | None, str] = {}
        for ignored, column in self._columns:
            is_named = ignored.url in {None, *urls} and ignored.table in table.entry.names
            if is_named and (column is None or column in table.all_columns):
                self._matched.add((ignored, column))
                found.setdefault(column, ignored.reason)
        return found

    def unmatched(self) -> Iterator[Remark]:
        """A remark on each column, or table, that was not found."""
        for ignored, column in self._columns:
            if (ignored, column) not in self._matched:
                yield Remark("", label(ignored.table, column), UNMATCHED)
