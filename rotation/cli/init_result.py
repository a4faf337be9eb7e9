"""The result of `init` for a service of your own: the findings, what needs a look, and the command to type next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from keyring_core import Key
from keyring_core.environment import PREVIOUS, PRIMARY
from rotation.discovery.result import Discovery
from rotation.discovery.token_column import TokenColumn
from rotation.model.next_steps import Invocation, Next, Repeats, Steps, shell_word
from rotation.model.text import be, many
from rotation.output.discovery_text import found_in_words, gets_entry, why_not
from rotation.output.documents.parts import FoundTargetJson, InitJson, RemarkJson, commands_of
from rotation.output.terminal import NextStep, Verbatim, following, labelled

if TYPE_CHECKING:
    from rich.console import RenderableType

SERVICE = """\
In your service:

  from keyring_core import get_encryption_service
  service = get_encryption_service()       # reads ENCRYPTION_KEY
  token = service.encrypt("sk-live-4242")  # store this
  secret = service.decrypt(token)
"""


@dataclass
class Begun:
    """The findings, and the files that were written."""

    invocation: Invocation
    found: Discovery
    url: str
    """The url of the database as rotation.toml has it; empty if it names several."""
    config: Path
    env_file: Path | None
    has_key: bool
    has_targets: bool
    """True if rotation.toml has any."""
    rotating: bool = False
    """True if the service has a staged or a previous key: then the next one has to wait."""
    others: dict[str, str] = field(default_factory=dict)
    """Keys that the dotenv file has under other names, if no key is set: the variable of each id."""
    new_key: Key | None = None
    is_private: bool = True
    """True if only its owner can read the file that a new key was written to."""
    refused_key: bool = False
    """True if a new key was wanted, and not made, since tokens are there that need another one."""
    files: list[Path] = field(default_factory=list)
    """The files that were written."""
    to_ignore: list[str] = field(default_factory=list)
    """The lines that .gitignore lacks."""

    @property
    def columns(self) -> list[TokenColumn]:
        """The columns with tokens that had no target before."""
        return self.found.unnamed

    @property
    def waiting(self) -> int:
        """The tokens that wait for their key to be set, even if it is in the dotenv file under another name."""
        return 0 if self.has_key else sum(column.under.total() + column.unknown for column in self._own)

    @property
    def _own(self) -> list[TokenColumn]:
        """The service's columns. If it has a key, only the new ones: `status` counts the others."""
        columns = self.columns if self.has_key else self.found.columns
        return [column for column in columns if not column.is_foreign and column.ignored is None]

    @cached_property
    def needs(self) -> list[str]:
        """The points that an admin has to look at, in sentences."""
        return list(self._needs())

    def _needs(self) -> Iterator[str]:
        program = self.invocation.program
        if self.refused_key:
            stage = self.invocation.line(self._command("keys", "stage"))
            yield (
                f"No new key was made: {many(self.waiting, 'token')} {be(self.waiting)} there under another key. Once "
                f"that is in {PRIMARY}{self._in_file}, this makes the next one: {stage}"
            )
        # `KEY in .env opens 18 of 20 tokens`, for each key under another name that opens any.
        under = sum((column.under for column in self._own), Counter[str]())
        opened = [
            f"{self.others[key_id]}{self._in_file} opens {number:,} of {many(self.waiting, 'token')}"
            for key_id, number in under.most_common()
            if key_id in self.others and number
        ]
        if opened:
            name = f"name it {PRIMARY}"
            if len(opened) > 1:
                name = f"name the one that the service encrypts with {PRIMARY}, and put the others into {PREVIOUS}"
            yield f"{'; '.join(opened)}: {name}."
        if unknown := sum(column.unknown for column in self._own):
            where = f"Put the key that the service uses today into {PRIMARY}{self._in_file}."
            if self.has_key or opened:
                where = (
                    f"If an older key does, put that into {PREVIOUS}{self._in_file}; or the column has a `context` "
                    "(bound tokens, docs/how-to/bind-tokens.md): name that in its target."
                )
            yield f"No key here opens {many(unknown, 'token')}. {where}"
            yield f"If the service makes its key of a secret, this prints the key: {program} keys derive"
        elif not (self.has_key or opened):
            yield f"No key is set. This prints a new one, for {PRIMARY}{self._in_file}: {program} keys generate"
        for column in self.columns:
            if not (column.is_foreign or column.sources or gets_entry(column)):
                then = f" Then {self.invocation.line(column.entry_command)}" if column.add_key else ""
                yield f"{column.label} gets no entry: {why_not(column, self.invocation)}.{then}"
        for remark in self.found.unseen:
            yield f"{remark.subject} was not looked at: {remark.words}."

    @property
    def _in_file(self) -> str:
        return f" in {self.env_file}" if self.env_file else ""

    @property
    def next(self) -> Next:
        """The command to type next."""
        if self.has_targets:
            return self._command("status")
        # Nothing is there that status could count.
        return self._command("init", "--append", *(("--url", self.url) if self.url else ()))

    def _command(self, *words: str) -> Next:
        config = () if self.config == Path("rotation.toml") else ("--config", str(self.config))
        return Next((*words, *config), repeats=Repeats.NONE)

    def document(self) -> InitJson:
        """The one JSON document."""
        return InitJson(
            complete=not self.needs,
            files=[str(path) for path in self.files],
            targets=[
                FoundTargetJson(one.table, one.column, one.format, one.parts.total(), dict(+one.under), one.unknown)
                for one in self.columns
                if gets_entry(one)
            ],
            new_key=self.new_key.id if self.new_key else None,
            needs=self.needs,
            left_out=[RemarkJson(*remark) for remark in self.found.left_out],
            gitignore=self.to_ignore,
            next=self.invocation.line(self.next),
            commands=commands_of(self.next, self.invocation),
        )

    def lines(self) -> Iterator[RenderableType]:
        """The lines of a screen, which a terminal breaks between words."""
        for part in self._parts():
            yield labelled(part, self.invocation.program) if isinstance(part, str) else part

    def _parts(self) -> Iterator[RenderableType]:
        tables = many(sum(self.found.databases.values()), "table")
        databases = " and ".join(self.found.databases)
        yield f"Read {many(self.found.rows, 'row')} of {tables} in {databases}, and changed nothing there."
        yield from (f"  {found_in_words(column)}" for column in self.columns)
        yield from map(self.invocation.line, self.found.recognised)
        if not self.columns:
            yield "No column with tokens was found that has no target yet."
        yield from (f"Outside this search: {place}, {subject}: {why}" for place, subject, why in self.found.left_out)
        if self.files:
            yield f"Written: {', '.join(map(str, self.files))}"
        if self.new_key:
            chmod = f"chmod 600 {shell_word(str(self.env_file))}"
            reads = "Only you can read the file." if self.is_private else f"Let only you read it: {chmod}"
            yield f"{self.env_file} holds a new key, {self.new_key.id}. {reads}"
        yield from self.needs
        if self.to_ignore:
            yield "Keep these files out of version control. The lines for .gitignore:"
            yield from (f"  {line}" for line in self.to_ignore)
        yield f"{self.config} holds no secret, so you may commit it."
        if not self.has_targets:
            yield Verbatim(f"\n{SERVICE}")
        when = "" if self.has_targets else "Once a table holds tokens, this adds its entry."
        fill_in = () if self.has_key else (f"fill in {PRIMARY}{self._in_file}",)
        yield from following(Steps(*fill_in, self.next, when=when), self.invocation)
        if self.has_targets and not (self.needs or self.rotating):
            stage = self._command("keys", "stage").after("To change the key:")
            yield NextStep(self.invocation.line(stage), no_wrap=True)
