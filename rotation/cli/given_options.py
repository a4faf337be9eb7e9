"""The invocation that a command line is: its command, and its options as they can be typed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import click
from click.core import ParameterSource

from rotation.model.next_steps import Invocation

GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP)
"""Behind the command, or in front of it."""


def with_given(invocation: Invocation, context: click.Context) -> Invocation:
    """*invocation* with the command of *context* and its options, for the messages that name the next command."""
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
    options: dict[str, list[tuple[str, ...]]] = {}
    arguments = []
    # In the order in which they were typed.
    for key, value in context.params.items():
        parameter = parameters[key]
        if context.get_parameter_source(key) not in GIVEN:
            continue
        if isinstance(parameter, click.Argument):
            arguments.append(str(value))
        else:
            name = max(parameter.opts, key=len)
            values = value if isinstance(value, tuple) else (value,)
            times = int(value) if isinstance(parameter, click.Option) and (parameter.is_flag or parameter.count) else 0
            options[name] = [(name,)] * times or [(name, _shown(parameter, each)) for each in values]
    return replace(invocation, command=(*names, *arguments), options=options, takes=takes)


def _shown(option: click.Parameter, value: object) -> str:
    """*value* as it can be typed again; a placeholder if it may hold a secret."""
    from keyring_core.redaction import get_redactor

    text, url = str(value), False
    if option.name == "url":
        from rotation.configuration.urls import may_hold_password

        url = may_hold_password(text)
    return (option.name or "").upper() if url or get_redactor().redact(text) != text else text
