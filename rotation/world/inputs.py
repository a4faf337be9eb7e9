"""What an admin gives a command: the environment, the dotenv file that overrides it, and rotation.toml."""

from __future__ import annotations

import io
import re
import shlex
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from keyring_core import KeyConfigError
from keyring_core.environment import ROTATION_CONFIG, key_files_in
from keyring_core.sources import is_missing, key_path, read_regular
from rotation.configuration.urls import find_url
from rotation.model.failures import StoreError, UsageError
from rotation.world.outputs import Holds, Kept, Kind

if TYPE_CHECKING:
    from rotation.configuration.config_file import ConfigFile
    from rotation.configuration.key_sets import KeySet
    from rotation.configuration.policy import Policy
    from rotation.configuration.sections import Declaration, EntriesOf, Ignored, Top

T = TypeVar("T")
OPTION = "--env-file"
"""The option that names a dotenv file; what names one otherwise is a setting."""

_KEY = re.compile(r"[\w-]{43}=")


def _fault(data: bytes) -> str | None:
    """The reason against adding variables to a file that holds *data*; None without one."""
    from dotenv.parser import parse_stream  # noqa: PLC0415 - as below

    bindings = list(parse_stream(io.StringIO(data.decode("utf-8", "surrogateescape"), newline=None)))
    if any(_KEY.fullmatch(binding.original.string.strip()) for binding in bindings):
        return "is a file of keys, and no dotenv file"
    # A comment is no content, and a line that is no assignment does no harm beside one.
    content = any(binding.key is not None or binding.error for binding in bindings)
    return "is no dotenv file" if content and all(binding.value is None for binding in bindings) else None


DOTENV = Kind(_fault, adds_to=Holds.VARIABLES)
"""A dotenv file to add variables to."""


def if_legible(question: Callable[[], T]) -> T | None:
    """The answer, or None if it cannot be read: that takes no other file out of a guard's sight.

    A command that needs the answer fails by itself, or says that it goes on without.
    """
    with suppress(UsageError, KeyConfigError, StoreError, OSError):
        return question()
    return None


class Dotenv(NamedTuple):
    """A dotenv file."""

    path: Path
    named_by: str = OPTION
    """The option or the setting that names it, for messages."""

    def read(self) -> dict[str, str]:
        """The variables that it sets now. Raises UsageError if it cannot be read: what names it, and the fault."""
        from dotenv import dotenv_values  # noqa: PLC0415 - most runs read none

        text, fault = "", None
        try:
            # A comment in another encoding must not stop the command.
            text = read_regular(self.path, "dotenv file")[0].decode("utf-8", "surrogateescape")
        except FileNotFoundError:
            fault = "there is no such file"
        except OSError as error:
            fault = error.strerror or "cannot be read"
        if "\0" in text:
            fault = "has NUL characters; write it in UTF-8, not in UTF-16"
        if fault:
            raise UsageError(f"{self.named_by} {self.path}: {fault}")
        # A `$` in a value stays a `$`: interpolation would change a secret silently.
        values = dotenv_values(stream=io.StringIO(text, newline=None), interpolate=False)
        return {name: value for name, value in values.items() if value is not None}


class Inputs:
    """The environment and the files of one command. Methods raise UsageError for a faulty file, unless they say so."""

    def __init__(
        self,
        process_environ: Mapping[str, str],
        config: Path | None,
        env_file: Path | None,
        entries_of: EntriesOf,
        *,
        uses_config: bool,
    ) -> None:
        """*entries_of* knows applications; the others as for a `Context`. Raises UsageError."""
        self.process_environ, self.config, self.env_file = process_environ, config, env_file
        self.uses_config = uses_config
        """False if options name the target."""
        self._entries_of = entries_of
        self._given = {**process_environ, **Dotenv(env_file).read()} if env_file else process_environ
        """The environment before rotation.toml, which this may name, is read."""
        self.config_path = config or Path(self._given.get(ROTATION_CONFIG) or "rotation.toml")
        """The path of rotation.toml, which may not exist."""

    @cached_property
    def environ(self) -> Mapping[str, str]:
        """The environment of the process and the dotenv file, as it was when first asked for."""
        return self._given if self.env_file else self.read_environ()

    @cached_property
    def dotenv(self) -> Dotenv | None:
        """The dotenv file that is read, and what names it: the option, otherwise rotation.toml."""
        if self.env_file:
            return Dotenv(self.env_file)
        if self.surroundings is None or not self.surroundings.env_file:
            return None
        return Dotenv(self.config_path.parent / self.surroundings.env_file, f"{self.config_path}, env_file:")

    def read_environ(self) -> dict[str, str]:
        """The environment with the dotenv file as it is now."""
        return {**self.process_environ, **self.read_dotenv()}

    def read_dotenv(self) -> dict[str, str]:
        """The variables of the dotenv file alone, as they are now."""
        return self.dotenv.read() if self.dotenv else {}

    @property
    def has_config(self) -> bool:
        """True if rotation.toml is read, and is there."""
        return self.uses_config and not is_missing(self.config_path)

    @property
    def is_configured(self) -> bool:
        """True if a rotation.toml is to be read: one that is named has to be there."""
        return self.uses_config and (self.config is not None or self.has_config)

    @cached_property
    def file(self) -> ConfigFile:
        """rotation.toml, which is read once. Raises UsageError also if it is not there."""
        from rotation.configuration.config_file import read_config  # noqa: PLC0415 - brings TOML, msgspec

        return read_config(self.config_path, self._entries_of)

    @cached_property
    def surroundings(self) -> Top | None:
        """The settings at the top of rotation.toml; None if that is not there, or not read."""
        return self.file.checked_top() if self.has_config else None

    @cached_property
    def key_sets(self) -> Mapping[str, KeySet]:
        """The key sets of rotation.toml, by their names; no key is read."""
        return self.file.key_sets() if self.is_configured else {}

    def models(self) -> list[Declaration]:
        """The models that rotation.toml names for `check` and `discover` to look at."""
        return self.file.models() if self.has_config else []

    def ignored(self) -> list[Ignored]:
        """The columns that rotation.toml ignores; none if that is not there, or not read."""
        entries = self.file.ignores if self.has_config else ()
        return [entry.resolved(self.environ, self.config_path.parent) for entry in entries]

    @cached_property
    def policy(self) -> Policy:
        """The policy of rotation.toml, or the default one without that."""
        from rotation.configuration.policy import Policy  # noqa: PLC0415 - brings msgspec

        return self.file.policy if self.is_configured else Policy()

    def any_policy(self) -> Policy:
        """The policy, or the default one if rotation.toml is at fault, which is reported elsewhere. Raises nothing."""
        from rotation.configuration.policy import Policy  # noqa: PLC0415 - as above

        with suppress(UsageError):
            return self.policy
        return Policy()

    def key_files(self) -> list[Kept]:
        """The dotenv file, and the file of every key of the environment and of all key sets, also if it is not there.

        What cannot be read names no file, and a command that needs it fails by itself.
        """
        dotenv, environ = if_legible(lambda: self.dotenv), if_legible(lambda: self.environ) or self.process_environ
        found = [Kept(dotenv.path, Holds.VARIABLES)] if dotenv else []
        sets = (if_legible(lambda: self.key_sets) or {}).values()
        named = [*key_files_in(environ), *(source.file for keys in sets for _, _, source in keys.sources())]
        for name in filter(None, named):
            with suppress(KeyConfigError):
                found.append(Kept(key_path(name, environ, "file"), Holds.KEYS))
        return found

    def cell_urls(self) -> list[str]:
        """The urls of cells that hold keys, as far as they are set."""
        found = []
        for source in (source for keys in self.key_sets.values() for _, _, source in keys.sources()):
            with suppress(UsageError):
                if source.cell and source.url:
                    found.append(find_url(source.url, self.environ, "a key's cell", self.config_path.parent))
        return found

    def file_of_keys(self) -> str | None:
        """A hint to the keys' own file, if rotation.toml is not read; None if it is read, or names no such file."""
        path, named = self.config_path, None
        if self.has_config:
            return None
        if self.uses_config:
            return (
                f"There is no {path.absolute()}, which could name the file of the keys: change to its folder, or name "
                "it with --config, or name the keys' own file with --env-file."
            )
        with suppress(UsageError):
            named = self.file.checked_top().env_file
        if not named:
            return None
        return (
            f"If options name the target, {path} is not read, nor is the file of the keys that it names: add "
            f"--env-file {shlex.quote(str(path.parent / named))}"
        )
