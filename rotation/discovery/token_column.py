"""Cells of one column in, the tokens in them counted. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

from keyring_core import Key, Keyring, UndecryptableToken
from keyring_core.blind_index import LENGTH, SHAPE
from keyring_core.errors import printable
from keyring_core.tokens import string_of
from rotation.configuration.urls import may_hold_password
from rotation.discovery.table_source import TOO_LARGE
from rotation.model.next_steps import DISCOVER, RUN, Next, Remedy, Steps
from rotation.model.target import Format
from rotation.model.text import be, many
from rotation.planning.cell_kinds import CellKind, kind_of
from rotation.planning.embedded import SPELLINGS, locate
from rotation.planning.inner_tokens import InnerTokens, find_inner
from rotation.planning.rules import Rules
from rotation.planning.texts import plan_texts

ROOM = 180
"""Characters: a shorter token has no room for another one in its plaintext."""
NESTED = "no run rotates a token inside another token: have the application write it again; keep its key until then"
NO_FORMAT = (
    "no format fits how these tokens are encoded: have the application write them again; keep their key until then"
)
MIXED = (
    "these cells hold tokens of your keys beside tokens that no key here opens, so that no target can be complete: if "
    "one of your keys is missing, set it among the previous keys; if the other tokens are under keys that "
    'your tokens wrap, set others = "leave" in the target; otherwise have the application write its own part again, '
    "and keep its key until then"
)
ENVELOPE = "envelope: a wrapped key and a value of another key"
SEALED = (
    f"{ENVELOPE}, and no key here opens either: set the key that wraps among the previous keys, then search again; if "
    "it is not yours, say so in an [[ignore]]"
)
UNNAMEABLE = (
    "have the application keep these tokens where a target can name them, and keep their keys until then; if none of "
    "them needs a key of yours, say so in an [[ignore]]"
)
NOT_YOURS = "if none of them needs a key of yours, say so in an [[ignore]]"
PRINT_ENTRY = DISCOVER.after("print the entry to add:")
FOREIGN = "no key here opens what another cipher wrote: leave it to its application, and say so in an [[ignore]]"


class Share(NamedTuple):
    """The rows of a column that one target covers."""

    keys: str | None
    """The key set of the target; None: the environment's own keys."""
    where: str | None = None
    leaves: bool = False
    """True if a token that no search opens is to be expected there: another owner's, or under the key of a row."""
    is_loaded: bool = True
    """False if the keys of the set are not known here, so that no search opens what is under them."""


class Part(NamedTuple):
    """Cells of one kind, and the format of a target that rotates the tokens in them, if there is one."""

    kind: CellKind
    format: Format | None
    mixed: bool = False
    """True if they hold tokens of these keys beside tokens of other keys, which a target has to leave."""


BARE = Part(CellKind.TOKEN, Format.TOKEN)
DOUBLE = Part(CellKind.NESTED, Format.TOKEN)
"""A token in a token: the outer one is rotated."""


def label(table: str, column: str | None) -> str:
    """The name in messages for an ignored column, or for all of a table."""
    return printable(f"{table}, all columns" if column is None else f"{table}.{column}")


@dataclass
class ReadColumn:
    """A column that holds tokens. Its numbers count what was read."""

    # JSON documents have these fields, too, with the texts beside them as descriptions.
    database: Annotated[str, "The database, without a password."]
    table: Annotated[str, "`table`, or `schema.table`."]
    column: Annotated[str, "The column."]
    covered: Annotated[bool, "True if a target covers it."] = False
    ignored: Annotated[str | None, "Why rotation.toml ignores it."] = None
    key_sets: Annotated[
        tuple[str | None, ...], "The key sets of the targets that cover it; null: the environment's own keys."
    ] = ()
    salted: Annotated[bool, "True if these key sets make a key for each row, with which no search opens a token."] = (
        False
    )
    formats: Annotated[tuple[Format, ...], "The formats of the targets that cover it."] = ()
    others: Annotated[
        Literal["leave"] | None, "What a target that covers it, or the proposed one, does with tokens of other keys."
    ] = None
    keys: Annotated[str | None, "The key set that opens most of its tokens; null: the environment's own keys."] = None
    where: Annotated[str | None, "The condition of a target that covers it, if none takes every row."] = None
    rows: Annotated[int, "Rows that were read."] = 0
    sampled: Annotated[bool, "True if there are more rows."] = False
    under: Annotated[Counter[str], "Tokens for each key id."] = field(default_factory=Counter)
    unknown: Annotated[int, "Tokens that no key opens."] = 0
    inner: Annotated[
        Counter[str], "The part of `under` that is inside text, encoded again, or inside another token."
    ] = field(default_factory=Counter)
    inner_unknown: Annotated[int, "The part of `unknown` that is so."] = 0
    large: Annotated[int, "Cells that are too large to be searched."] = 0
    given_up: Annotated[int, "Cells with so much in them that a token may have been missed."] = 0
    key_columns: Annotated[tuple[str, ...], "What a target has to name as key_columns."] = ()
    hint: Annotated[str | None, "Why a target for it would be refused."] = None
    elsewhere: Annotated[bool, "True if it is in another schema or database than the targets."] = False
    has_history: Annotated[bool, "True if rows of the past were read, too."] = False
    made_of: Annotated[
        tuple[str, ...], "The columns that the database makes it of, as a generated column or a materialized view."
    ] = ()
    copy_of: Annotated[
        tuple[str, ...], "The ones of these that targets cover: then it needs no target of its own."
    ] = ()


@dataclass
class TokenColumn(ReadColumn):
    """The tokens of a column, as far as it was searched."""

    parts: Counter[Part] = field(default_factory=Counter)
    """Cells that hold a token, by what it stands in."""
    indexes: Counter[str] = field(default_factory=Counter)
    """Values of a blind index per key of the keyrings, if they were looked for."""
    shares: tuple[Share, ...] = ()
    """The rows of each target that covers it, or that covers what it is a copy of."""
    refresh: tuple[str, ...] = ()
    """How a copy is made again, in order; none: with each write of its row."""
    sources: tuple[str, ...] = ()
    """The columns of `made_of` in which the search found tokens, too, and that no [[ignore]] names."""
    add_key: str | None = None
    """How to add the key that the table lacks."""
    in_other_database: bool = False
    """True if it is in a database that no url names."""
    url: str = field(default="", repr=False)
    """The url of the database, as it was written; empty if no url names the database."""

    @property
    def label(self) -> str:
        """As messages name it: `user_credentials.api_key`; with its database if no url names that."""
        where = f" in {self.database}" if self.in_other_database else ""
        return printable(f"{self.table}.{self.column}{where}")

    @property
    def tokens(self) -> int:
        """Cells that are a token and nothing else."""
        return self.parts[BARE] + self.parts[DOUBLE]

    @property
    def embedded(self) -> int:
        """Cells that hold a token as part of something else, such as JSON, or in another encoding."""
        return self.parts.total() - self.tokens

    @property
    def found(self) -> bool:
        """True if there is any token in it."""
        return bool(self.parts.total())

    @property
    def proposed(self) -> bool:
        """True if an entry for it can be added to rotation.toml as it is."""
        return bool(self.is_uncovered and self.served and self.hint is None)

    @property
    def is_uncovered(self) -> bool:
        """True if no target covers it, though it is not another application's, and no [[ignore]] names it."""
        return not (self.covered or self.copy_of or self.is_foreign) and self.ignored is None

    @property
    def format(self) -> Format:
        """The format that rotates the tokens of most of its cells."""
        return max(Format, key=lambda each: self._serve([each]).total())

    @property
    def envelopes(self) -> int:
        """Cells that a target serves if it leaves the tokens of others: none if there is a target."""
        return 0 if self.covered else sum(cells for part, cells in self._served.items() if part.mixed)

    @property
    def served(self) -> int:
        """Cells whose tokens a run rotates: with its targets' formats, or with the one that is proposed."""
        return self._served.total()

    @property
    def unserved(self) -> Counter[Part]:
        """The other cells that hold a token."""
        return self.parts - self._served

    @property
    def _served(self) -> Counter[Part]:
        return self._serve(self.formats or [self.format])

    @property
    def kinds(self) -> Counter[str]:
        """Cells that hold a token, per kind."""
        found: Counter[str] = Counter()
        for part, cells in self.parts.items():
            found[part.kind] += cells
        return found

    @property
    def is_foreign(self) -> bool:
        """True if it is elsewhere and no key of the keyring opens any token in it: another application's, or bound."""
        return self.elsewhere and not (self.under or self.copy_of)

    @property
    def bare_unknown(self) -> int:
        """Cells that are a token that no key of the keyrings opens."""
        return self.unknown - self.inner_unknown

    def may_need(self, key_id: str, *, any_place: bool) -> bool:
        """True if a token in it is under that key, or may be, so that the key has to stay.

        One that no key opens may be bound to a context that no target names, or be under the key of a row: a cell of
        its own always counts, and with *any_place* so does a part of one. None does that is elsewhere or ignored. What
        was not searched is in `Discovery.beyond`.
        """
        unknown = self.unknown if any_place else self.bare_unknown
        return bool(self.under[key_id] or (unknown and not self.elsewhere and self.ignored is None))

    @property
    def entry_command(self) -> Next:
        """What adds its entry to rotation.toml once it can be a target, or prints it."""
        if not self.url or may_hold_password(self.url):
            return PRINT_ENTRY
        return Next(("init", "--append", "--url", self.url), "add its entry:")

    @property
    def remedies(self) -> list[Remedy]:
        """What to do if a key has to stay for this column; about what a run rotates first, if there is any."""
        found: list[Remedy] = [self._remedy_of_served()] if self.served and not self.made_of else []
        if self.made_of:
            found += self._remedies_of_made()
        if self.has_history:
            found.append(f"DELETE HISTORY FROM {printable(self.table)} drops its past rows, if nobody needs them")
        if self.made_of:
            return found
        found += dict.fromkeys(self._remedy_of_unserved(part, cells) for part, cells in self.unserved.items())
        if self.kinds[CellKind.NESTED]:
            found.append(NESTED)
        return found

    def _remedy_of_unserved(self, part: Part, cells: int) -> Remedy:
        if part.kind is CellKind.ENVELOPE and not part.mixed:
            return SEALED
        if part.kind is not CellKind.ENVELOPE and part.mixed:
            return MIXED
        if part.kind is CellKind.FOREIGN_CIPHER:
            return FOREIGN
        if part.format is None:
            return NO_FORMAT
        leave = ' and others = "leave"' if part.mixed else ""
        if self.covered and (not self.served or part.format in self.formats):
            name = part.format if leave else self.format
            return RUN.after(f'set format = "{name}"{leave} in its [[target]], then:')
        return (
            f"{many(cells, 'cell')} of the kind {part.kind}: give these rows a [[target]] of their own, with a `where` "
            f'and format = "{part.format}"{leave}'
        )

    def _serve(self, formats: Sequence[Format]) -> Counter[Part]:
        """The cells whose tokens are rotated by targets of *formats*."""
        # A token alone is a text with nothing around the token.
        served = {*formats, *([Format.TOKEN] if Format.EMBEDDED in formats else [])}
        # A token of a lost key looks the same as one of others. In an envelope the forms differ.
        leaves = self.others == "leave"
        return Counter(
            {
                part: cells
                for part, cells in self.parts.items()
                if part.format in served
                and (leaves or not part.mixed or (not self.covered and part.kind is CellKind.ENVELOPE))
            }
        )

    def _remedy_of_served(self) -> Remedy:
        if self.covered:
            return RUN
        if self.hint is None:
            return PRINT_ENTRY
        if self.add_key:
            return Steps(f"add a key to the table, which has none: {self.add_key}", self.entry_command, RUN)
        return UNNAMEABLE

    def _remedies_of_made(self) -> list[Remedy]:
        """What rids a column of old tokens that the database makes of others, and that no run can write to."""
        origins = dict.fromkeys((*self.copy_of, *self.sources))
        if not origins:
            return [UNNAMEABLE]
        rest = " and ".join(name for name in origins if name not in self.copy_of)
        first = RUN.after(f"it is made of {rest}: name that in a [[target]], then:") if rest else RUN
        if not self.refresh:
            return [first]
        done = f"once {' and '.join(origins)} {be(len(origins))} rotated,"
        return [*([first] if rest else []), *(f"{done} {each}" for each in self.refresh)]

    def take(self, keyrings: Sequence[Keyring], cells: Sequence[Any]) -> None:
        """Counts cells of this column; each token is tried under the keys of all *keyrings*."""
        texts = [cell if isinstance(cell, str | bytes) else bytes(cell) for cell in cells]
        cells = [text for text in texts if text not in {TOO_LARGE, TOO_LARGE.encode()}]
        self.large += len(texts) - len(cells)
        short = (string_of(cell) for cell in cells if len(cell) == LENGTH)
        found = Counter(cell[: cell.index(":")] for cell in short if SHAPE.fullmatch(cell))
        known = {key_id for keyring in keyrings for key_id in keyring.states_by_id} if found else ()
        self.indexes.update({key_id: number for key_id, number in found.items() if key_id in known})
        for cell, key in zip(cells, _identify(keyrings, cells), strict=True):
            if key is not None:
                self.parts[BARE] += 1
                self.under.update([key] if key else [])
                self.unknown += not key
            # Most columns hold short tokens. A search inside each would cost more than all the rest.
            if key is None or (key and len(cell) >= ROOM):
                self._take_inner(keyrings, cell, key)

    def _take_inner(self, keyrings: Sequence[Keyring], cell: str | bytes, key: str | None) -> None:
        """Counts what is in a *cell*, except the cell itself if that is a token under *key*."""
        found = find_inner(keyrings, cell)
        if key is None and (found.under or found.unopened):
            self.parts[_part_of(keyrings, cell, found)] += 1
        elif key and found.under[key]:
            found.under[key] -= 1
        under = +found.under
        if key is not None and (under or found.unopened):
            self.parts -= Counter([BARE])
            self.parts[DOUBLE] += 1
        self.under += under
        self.inner += under
        self.given_up += found.given_up
        self.unknown += found.unopened
        self.inner_unknown += found.unopened


def _part_of(keyrings: Sequence[Keyring], cell: str | bytes, found: InnerTokens) -> Part:
    """The part of a *cell* in which tokens were *found*, and which is not a token itself."""
    held, text = kind_of(cell, found), cell if isinstance(cell, str) else cell.decode("latin-1")
    forms = [form for form, spelling in SPELLINGS.items() if spelling.whole.search(text)]
    if not found.under:
        # Two missing keys, or one: a format that fits all of its tokens is worth a proposal.
        return Part(CellKind.ENVELOPE, None) if len(forms) > 1 else Part(held.kind, held.format)
    of_one_set = any(found.under.keys() <= keyring.states_by_id.keys() for keyring in keyrings)
    if of_one_set and not found.unopened and not _holds_unknown(keyrings, text, held.format):
        return Part(held.kind, held.format)
    # The first key set first, as the one that the entry names if several have as many tokens.
    form = next((form for keyring in keyrings for form in forms if _moves(keyring, keyrings, cell, form)), None)
    is_envelope = form is not None and not _holds_unknown(keyrings, text, form)
    return Part(CellKind.ENVELOPE if is_envelope else held.kind, form, mixed=True)


def _moves(keyring: Keyring, keyrings: Sequence[Keyring], cell: str | bytes, form: Format) -> bool:
    """True if a target of these keys and that format rotates *cell*, if it leaves the tokens of others."""
    others = [("", each) for each in keyrings if each is not keyring]
    rules = Rules(keyring, others=others, format=form, leaves_others=True, dry_run=True)
    counts = plan_texts(rules, [()], [cell]).counts
    return bool(counts.under) and not counts.unreadable


def _holds_unknown(keyrings: Sequence[Keyring], text: str, held: Format | None) -> bool:
    """True if a run of that format would find a token in *text* that none of *keyrings* opens, also without its end."""
    if held not in SPELLINGS:
        return False
    keys = list(dict.fromkeys(key for keyring in keyrings for key in keyring.states))
    return any(token.key is None for token in locate(SPELLINGS[held], text, keys)[0])


def _identify(keyrings: Sequence[Keyring], cells: Sequence[str | bytes]) -> list[str | None]:
    """For each cell the id of its key, empty if no keyring opens it, None if it is no token."""
    outcomes: list[str | None] = [None] * len(cells)
    unopened = list(range(len(cells)))
    for keyring in keyrings:
        found = keyring.identify_many([cells[number] for number in unopened])
        for number, item in zip(unopened, found, strict=True):
            if isinstance(item, Key):
                outcomes[number] = item.id
            elif isinstance(item, UndecryptableToken):
                outcomes[number] = ""
        unopened = [number for number in unopened if outcomes[number] == ""]
    return outcomes
