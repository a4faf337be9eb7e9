"""Where the secrets of older packages are: in the environment, or in Django's settings under the same name."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence

from django.conf import settings


class Secrets(Mapping[str, str | Sequence[str]]):
    """The variables of this process and, for names that it lacks, the settings that are a text or a list."""

    def __getitem__(self, name: str) -> str | Sequence[str]:
        if name in os.environ:
            return os.environ[name]
        value = getattr(settings, name, None)
        if isinstance(value, str | list | tuple):
            return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        # A command that prints a secret gets what is listed: the variables alone, and no setting.
        return iter(os.environ)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def named_settings() -> Iterator[tuple[str, object]]:
    """Every setting and its value. Some warn that they are deprecated if they are read: not here."""
    for name in filter(str.isupper, dir(settings)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = getattr(settings, name, None)
        yield name, value


def environment_and_settings() -> Mapping[str, str | Sequence[str]]:
    """The secrets of this process. A function with a name, since fields are copied and pickled."""
    return Secrets()
