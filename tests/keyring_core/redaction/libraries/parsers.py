"""PyYAML, click and the standard library's readers: texts and arguments that they refuse."""

from __future__ import annotations

import argparse
import configparser
import datetime
import enum
import ipaddress
import json
import string

import click
import yaml

from tests.keyring_core.redaction.libraries.ways import Tables

cases = Tables(__name__)


class Choice(enum.Enum):
    A = "a"


cases.errors(
    "parsers",
    {
        "yaml_syntax": lambda w: yaml.safe_load(f"a: b\npassword: {w.unknown}: x\n"),
        "yaml_tab": lambda w: yaml.safe_load(f"a:\n\tpassword: {w.unknown}"),
        "yaml_tag": lambda w: yaml.safe_load(f"!{w.plaintext} x"),
        "yaml_alias": lambda w: yaml.safe_load(f"*{w.plaintext}"),
        "yaml_object": lambda w: yaml.safe_dump(type(f"x{w.raw.hex()}", (), {})()),
        "ini_line": lambda w: _read_ini(f"[a]\n{w.plaintext}\n"),
        "ini_no_section": lambda w: _read_ini(f"password={w.unknown}\n"),
        "ini_twice": lambda w: _read_ini(f"[{w.plaintext}]\n[{w.plaintext}]\n"),
        "ini_number": lambda w: _read_ini(f"[a]\nx={w.plaintext}\n").getint("a", "x"),
        "ini_boolean": lambda w: _read_ini(f"[a]\nx={w.plaintext}\n").getboolean("a", "x"),
        "ini_interpolation": lambda w: _read_ini(f"[a]\nx=mysql://bob:{w.unknown}@%(h)s/\n").get("a", "x"),
        "ini_section": lambda w: _read_ini("[a]\n")[w.plaintext],
        "json_key": lambda w: json.loads("{}")[w.plaintext],
        "json_object": lambda w: json.dumps(type(f"x{w.raw.hex()}", (), {})()),
        "json_constant": lambda w: json.loads("NaN", parse_constant=lambda _: int(w.plaintext)),
        "argument_type": lambda w: _parse(["--number", w.plaintext]),
        "argument_choice": lambda w: _parse(["--kind", w.plaintext]),
        "argument_unknown": lambda w: _parse([f"--password={w.unknown}"]),
        "argument_separate": lambda w: _parse(["--password", w.unknown]),
        "argument_own": lambda w: _parse(["--own", w.plaintext]),
        "enum": lambda w: Choice(w.plaintext),
        "address": lambda w: ipaddress.ip_address(w.plaintext),
        "date": lambda w: datetime.datetime.fromisoformat(w.plaintext),
        "date_format": lambda w: datetime.datetime.strptime(w.plaintext, "%Y"),
        "float": lambda w: float(w.plaintext),
        "format_field": lambda w: string.Formatter().vformat(f"{{{w.plaintext}}}", (), {}),
    },
)


def _read_ini(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read_string(text)
    return parser


def _own(value: str) -> str:
    raise argparse.ArgumentTypeError(f"cannot use {value}")


def _parse(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--number", type=int)
    parser.add_argument("--kind", choices=["a"])
    parser.add_argument("--own", type=_own)
    _, unknown = parser.parse_known_args(arguments)
    raise ValueError(f"unrecognized arguments: {' '.join(unknown)}")


@click.command()
@click.option("--number", type=int)
@click.option("--kind", type=click.Choice(["a"]))
@click.option("--file", type=click.Path(exists=True))
@click.option("--at", type=click.DateTime())
def command(**options: object) -> None:
    """Refuses."""


def invoke(*arguments: str) -> None:
    command.main(list(arguments), standalone_mode=False)


cases.errors(
    "click",
    {
        "number": lambda w: invoke("--number", w.plaintext),
        "choice": lambda w: invoke("--kind", w.plaintext),
        "file": lambda w: invoke("--file", f"/run/{w.plaintext}"),
        "date": lambda w: invoke("--at", w.plaintext),
        "argument": lambda w: invoke(w.plaintext),
        "option": lambda w: invoke(f"--{w.plaintext}"),
        "usage": lambda w: raise_(click.UsageError(f"cannot open mysql://bob:{w.unknown}@h")),
    },
)


def raise_(error: Exception) -> None:
    raise error


def exits(*arguments: str) -> None:
    """What click prints before it ends the process."""
    command.main(list(arguments))


cases.logs(
    "click",
    {
        "number": lambda w: exits("--number", w.plaintext),
        "choice": lambda w: exits("--kind", w.plaintext),
        "argument": lambda w: exits(w.plaintext),
        "echo": lambda w: click.echo(f"password={w.unknown}"),
        "echo_error": lambda w: click.secho(f"cannot open mysql://bob:{w.unknown}@h", fg="red", err=True),
    },
    setup="stdio",
)
