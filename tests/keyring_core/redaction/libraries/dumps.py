"""orjson, PyYAML and the standard library's writers: secrets in every form that they write."""

from __future__ import annotations

import argparse
import base64
import binascii
import configparser
import csv
import dataclasses
import io
import json
import pprint
import shlex
import string
import sys
import xml.etree.ElementTree
from collections.abc import Callable
from pathlib import Path

import orjson
import yaml

from keyring_core.redaction import redacting
from tests.keyring_core.redaction.leaks.case import World
from tests.keyring_core.redaction.libraries.ways import Tables, Way

cases = Tables(__name__)


@dataclasses.dataclass
class Data:
    password: str
    number: int = 0


cases.texts(
    "dumps",
    {
        "dataclass": lambda w: Data(w.unknown),
        "dataclass_dict": lambda w: dataclasses.asdict(Data(w.unknown)),
        "pretty": lambda w: pprint.pformat({"password": w.unknown, "x": list(range(40))}),
        "pretty_bytes": lambda w: pprint.pformat({"x": w.raw * 4}, width=40),
        "pretty_dataclass": lambda w: pprint.pformat(Data(w.unknown), width=20),
        "orjson": lambda w: orjson.dumps({"password": w.unknown}),
        "orjson_indented": lambda w: orjson.dumps({"a": [{"api_key": w.unknown}]}, option=orjson.OPT_INDENT_2).decode(),
        "orjson_dataclass": lambda w: orjson.dumps(Data(w.unknown)),
        "json_indented": lambda w: json.dumps({"a": {"client_secret": w.unknown}}, indent=4),
        "json_escaped": lambda w: json.dumps(json.dumps({"password": w.unknown})),
        "yaml": lambda w: yaml.safe_dump({"db": {"password": w.unknown}}),
        "yaml_flow": lambda w: yaml.safe_dump({"db": {"password": w.unknown}}, default_flow_style=True),
        "yaml_manifest": lambda w: yaml.safe_dump(
            {"env": [{"name": "DB_PASSWORD", "value": w.unknown}]}, sort_keys=False
        ),
        "yaml_variables": lambda w: yaml.safe_dump(
            {"environment": {"SECRET_KEY_BASE": w.unknown, "MAIL_PASS": w.unknown}}
        ),
        "yaml_key": lambda w: yaml.safe_dump([w.key, w.plaintext]),
        "yaml_binary": lambda w: yaml.safe_dump({"x": w.plaintext.encode()}),
        "yaml_letter": lambda w: yaml.safe_dump({"x": w.letter}),
        "csv": lambda w: _csv([w.plaintext, w.key]),
        "ini": lambda w: _ini({"password": w.unknown}),
        "shell": lambda w: shlex.join(["mysql", "--password", w.unknown]),
        "shell_quoted": lambda w: shlex.join(["mysql", "-p", w.password]),
        "xml": lambda w: xml.etree.ElementTree.tostring(_element("password", w.unknown)),
        "namespace": lambda w: argparse.Namespace(password=w.unknown),
        "template": lambda w: string.Template("mysql://bob:$x@h").substitute(x=w.unknown),
        "base64": lambda w: base64.b64encode(w.plaintext.encode()),
        "hexlify": lambda w: binascii.hexlify(w.key.encode(), "-"),
        "path": lambda w: repr(Path("/run") / w.plaintext),
    },
)


def _csv(row: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL).writerow(row)
    return text.getvalue()


def _ini(section: dict[str, str]) -> str:
    text, parser = io.StringIO(), configparser.RawConfigParser()
    parser["db"] = section
    parser.write(text)
    return text.getvalue()


def _element(name: str, text: str) -> xml.etree.ElementTree.Element:
    element = xml.etree.ElementTree.Element(name)
    element.text = text
    return element


def in_block(write: Callable[[World], object]) -> Way:
    """Writes a plaintext to stdout inside of its block, and the end of its line after it."""

    def way(world: World) -> None:
        with redacting(world.unknown):
            write(world)
        sys.stdout.write("\n")

    return way


cases.logs(
    "written_in_block",
    {
        "json": in_block(lambda w: json.dump({"cell": w.unknown}, sys.stdout)),
        "csv": in_block(lambda w: csv.writer(sys.stdout, lineterminator=" ").writerow(["cell", w.unknown])),
        "xml": in_block(
            lambda w: xml.etree.ElementTree.ElementTree(_element("cell", w.unknown)).write(
                sys.stdout, encoding="unicode"
            )
        ),
        "ini": in_block(lambda w: sys.stdout.write(_ini({"cell": w.unknown}).strip())),
    },
    setup="stdio",
)
