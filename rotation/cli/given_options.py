"""The options of this command, as they can be typed again after the next one."""

from __future__ import annotations

from collections.abc import Sequence

import click
from click.core import ParameterSource

from rotation.model.invocation import begin, quoted

GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
"""Behind the command, or in front of it."""


def remember(context: click.Context) -> None:
    """Lets messages name the next command with the options of this one."""
    names: list[str] = []
    node: click.Context = context
    while node.parent:
        names.insert(0, node.info_name or "")
        node = node.parent

    def takes(words: Sequence[str]) -> set[str]:
        command = node.command
        for word in words:
            command = (command.get_command(node, word) if isinstance(command, click.Group) else None) or command
        return {name for parameter in command.params for name in parameter.opts}

    parameters = {parameter.name: parameter for parameter in context.command.params}
    options, arguments = {}, []
    # In the order in which they were typed.
    for key, value in context.params.items():
        parameter = parameters[key]
        if context.get_parameter_source(key) not in GIVEN:
            continue
        if isinstance(parameter, click.Argument):
            arguments.append(quoted(str(value)))
        else:
            name = max(parameter.opts, key=len)
            values = value if isinstance(value, tuple) else (value,)
            times = int(value) if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count) else 0
            options[name] = [name] * times or [f"{name} {_shown(parameter, each)}" for each in values]
    begin([*names, *arguments], options, takes)


def _shown(option: click.Parameter, value: object) -> str:
    """*value* as it can be typed again; a placeholder if it may hold a secret."""
    from keyring_core.redaction import get_redactor

    text, url = str(value), False
    if option.name == "url":
        from rotation.configuration.urls import may_hold_password

        url = may_hold_password(text)
    return (option.name or "").upper() if url or get_redactor().redact(text) != text else quoted(text)
