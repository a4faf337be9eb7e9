"""The variable or file that an application reads, with its keys in its own form. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rotation.model.presets import Form, Preset, Setting


class OwnKey(NamedTuple):
    """One key of a set, as `keys list` knows it."""

    id: str
    state: str
    """primary, staged or previous."""
    reveal: Callable[[], str]
    """Returns what the application is to be given: the key's text, or the secret that it is derived from."""


ORDER = ("primary", "staged", "previous")
"""The first key encrypts in every application that takes several."""


def setting_lines(preset: Preset, keys: Sequence[OwnKey], key_set: str | None = None, *, reveal: bool) -> list[str]:
    """The settings of *preset* that *key_set* belongs to, or its first one, with *keys* in the application's form.

    Keys stand there by their ids, such as <5f0c1a9e>; with *reveal* as they are, and the lines are then secret.
    """
    key_set = key_set or preset.key_set(preset.setting[0])
    ordered = sorted(keys, key=lambda key: ORDER.index(key.state))
    shown = [(key.state, key.reveal() if reveal else f"<{key.id}>") for key in ordered]
    settings = [setting for setting in preset.setting if preset.key_set(setting) == key_set]
    return [line for setting in settings for line in [*_comment(setting), *_FORMS[setting.form](setting, shown)]]


def _comment(setting: Setting) -> list[str]:
    # Lines are the file itself, and Pulp does not start if its first line is a comment.
    return [] if setting.form == "lines" else [f"# {setting.place}"]


Shown = Sequence[tuple[str, str]]
"""Keys in the order of `ORDER`: the state, and the text."""


def _joined(separator: str) -> Callable[[Setting, Shown], list[str]]:
    return lambda setting, keys: [f"{setting.name}={separator.join(text for _, text in keys)}"]


def _lines(_: Setting, keys: Shown) -> list[str]:
    return [text for _, text in keys]


def _repeated(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name} = {text}" for _, text in keys]


def _yaml_list(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name}:", *(f"  - {json.dumps(text)}" for _, text in keys)]


def _python_list(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name} = [{', '.join(json.dumps(text) for _, text in keys)}]"]


def _numbered_files(setting: Setting, keys: Shown) -> list[str]:
    """Keystone: the highest number encrypts, 0 is staged, those in between are previous."""
    others = [text for state, text in reversed(keys) if state != "staged"]
    staged = [f"{setting.name}/0: {text}" for state, text in keys if state == "staged"]
    return [*staged, *(f"{setting.name}/{number}: {text}" for number, text in enumerate(others, 1))]


def _one(setting: Setting, keys: Shown) -> list[str]:
    return [f"{setting.name}={text}" for state, text in keys if state == "primary"]


_FORMS: Mapping[Form, Callable[[Setting, Shown], list[str]]] = {
    "comma": _joined(","),
    "semicolon": _joined(";"),
    "lines": _lines,
    "repeated": _repeated,
    "yaml-list": _yaml_list,
    "python-list": _python_list,
    "numbered-files": _numbered_files,
    "one": _one,
}
