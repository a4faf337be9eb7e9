"""Writes rotation/schemas: a JSON schema of rotation.toml for editors, and one of each document that a command prints.

`python .ci/schemas.py` writes them; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import UnsetType

from rotation.configuration import config_file
from rotation.configuration.declarations import Declaration
from rotation.configuration.key_sets import KeySet, KeySource
from rotation.configuration.policy import Policy, Span
from rotation.configuration.presets import App
from rotation.configuration.settings import NEEDED, SECTIONS, Setting
from rotation.job.problems_file import ProblemLine
from rotation.lifecycle.retirement_files import Certificate
from rotation.output.documents.found import CheckJson, CheckListJson, DiscoverJson, ReportJson
from rotation.output.documents.keys import KeysListJson, KeysSettingJson, KeysStepJson
from rotation.output.documents.parts import (
    CheckErrorJson,
    DemoJson,
    ErrorJson,
    InitJson,
    LedgerInitJson,
    LedgerSqlJson,
    NewKeyJson,
)
from rotation.output.documents.run import RunJson

FOLDER = Path(__file__).parents[1] / "rotation" / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
CONFIG = "rotation.toml"
# A default of a type of our own has no place in a schema.
_LIMITS = [(each.name, str if each.type is Span else each.type, None) for each in msgspec.structs.fields(Policy)]
STRUCTS: dict[str, list[type[msgspec.Struct]]] = {
    "": [config_file._Top],
    "target": [config_file._Entry, Declaration],
    "app": [App],
    "keys": [KeySet],
    "key": [KeySource],
    "policy": [msgspec.defstruct("Policy", _LIMITS)],
    "ignore": [config_file._Ignore],
}
"""What reads each section of rotation.toml."""
DOCUMENTS: dict[str, type] = {
    "run": RunJson,
    "problems": ProblemLine,
    "check": CheckJson,
    "check-list": CheckListJson,
    "check-error": CheckErrorJson,
    "discover": DiscoverJson,
    "report": ReportJson,
    "keys-list": KeysListJson,
    "keys-setting": KeysSettingJson,
    "keys-step": KeysStepJson,
    "keys-key": NewKeyJson,
    "certificate": Certificate,
    "ledger-init": LedgerInitJson,
    "ledger-sql": LedgerSqlJson,
    "init": InitJson,
    "demo": DemoJson,
    "error": ErrorJson,
}
"""The documents, by the names of their schemas."""
SUFFIX = "Json"
"""The end of a type's name, which its name in a schema does not have."""


def schemas() -> dict[Path, str]:
    """Every schema, by its path."""
    made = {CONFIG: config_schema()} | {name: document_schema(kind) for name, kind in DOCUMENTS.items()}
    return {FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2) + "\n" for name, schema in made.items()}


def config_schema() -> dict[str, Any]:
    """The schema of rotation.toml, made of what reads it and of what `rotation.configuration.settings` says."""
    _, parts = msgspec.json.schema_components(
        [kind for kinds in STRUCTS.values() for kind in kinds],
        ref_template="#/$defs/{name}",
    )
    sections = {
        name: _section([parts[kind.__name__] for kind in kinds], SECTIONS[name]) for name, kinds in STRUCTS.items()
    }
    top, key = sections.pop(""), sections.pop("key")
    for name in ("target", "app", "ignore"):
        top["properties"][name] |= {"items": sections[name]}
    top["properties"]["keys"]["additionalProperties"] = sections["keys"]
    top["properties"]["policy"] = sections["policy"] | {"description": top["properties"]["policy"]["description"]}
    sections["keys"]["properties"] |= {
        "primary": _of_key(sections, "primary"),
        "staged": _of_key(sections, "staged"),
    }
    sections["keys"]["properties"]["previous"]["items"] = {"$ref": "#/$defs/key"}
    target = sections["target"]["properties"]
    target["index"] = _without_null(target["index"]) | _table("index") | {"required": ["column", "context"]}
    target["from"] = _without_null(target["from"]) | _table("from") | {"required": ["package", "secret"]}
    # An entry names its columns, or the models that do.
    sections["target"]["anyOf"] = [
        {"required": ["url", "table", "columns"]},
        {"required": ["url", "models"]},
        {"required": ["django"]},
    ]
    key["oneOf"] = [{"required": [name]} for name in ("secret", "file", "command")]
    return {
        "$schema": DRAFT,
        "title": CONFIG,
        "description": "Which columns hold tokens, which keys open them, and how old keys may become.",
        **top,
        "$defs": {"key": key},
    }


def _section(parts: Iterable[Mapping[str, Any]], settings: Mapping[str, Setting]) -> dict[str, Any]:
    """The schema of a section that any of *parts* reads, with the words of its *settings*."""
    parts = list(parts)
    properties = {name: value for part in reversed(parts) for name, value in part["properties"].items()}
    found: dict[str, Any] = {
        "type": "object",
        "properties": {name: _described(_without_null(properties[name]), each) for name, each in settings.items()},
        "additionalProperties": False,
    }
    if len(parts) == 1 and parts[0].get("required"):
        found["required"] = parts[0]["required"]
    return found


def _described(schema: Mapping[str, Any], setting: Setting) -> dict[str, Any]:
    default = f" {_sentence(setting.default if NEEDED in setting.default else f'default: {setting.default}')}"
    return {
        "description": f"{_sentence(setting.words)}{default * (setting.default != 'none')}",
        **schema,
        **setting.schema,
    }


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """*schema* without null, which TOML does not have, and without a default, which the description names."""
    options = [each for each in schema.get("anyOf", [schema]) if each != {"type": "null"}]
    return {name: value for name, value in options[0].items() if name != "default"}


def _of_key(sections: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"description": sections["keys"]["properties"][name]["description"], "$ref": "#/$defs/key"}


def _table(name: str) -> dict[str, Any]:
    """The table of a setting that has no struct of its own."""
    texts = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
    types = {"hkdf": {"type": "boolean"}, "unpickle": {"type": "boolean"}}
    lists = dict.fromkeys(("secret", "salt", "encryption_secret"), texts)
    properties = {
        setting: _described((types | lists).get(setting, {"type": "string"}), each)
        for setting, each in SECTIONS[name].items()
    }
    return {"properties": properties, "additionalProperties": False}


def document_schema(kind: type) -> dict[str, Any]:
    """The schema of a document: each field has the text beside it, and is required unless its type says otherwise."""
    _, found = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}", schema_hook=_of_counter)
    enums = {name: {"enum": part["enum"]} for name, part in found.items() if "enum" in part}
    parts = {name.removesuffix(SUFFIX): part for name, part in found.items() if name not in enums}
    for part_kind in _parts_of(kind):
        part, hints = parts[name_of(part_kind)], get_type_hints(part_kind, include_extras=True)
        fields = {name: get_args(hint) for name, hint in hints.items()}
        part.pop("title", None)
        part["properties"] = {
            name: _plain(part["properties"][name], enums) | {"description": words}
            for name, (_, words) in fields.items()
        }
        part["required"] = [name for name, (hint, _) in fields.items() if UnsetType not in get_args(hint)]
        if is_dataclass(part_kind):
            part["additionalProperties"] = False
    top = parts.pop(name_of(kind))
    title = top.pop("description")
    return {"$schema": DRAFT, "title": title, **top} | ({"$defs": parts} if parts else {})


def name_of(kind: type) -> str:
    """The name of a type in schemas and on the page of documents."""
    return kind.__name__.removesuffix(SUFFIX)


def _of_counter(_: type) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": {"type": "integer"}}


def _parts_of(kind: type) -> list[type]:
    """*kind*, and the types of the objects that are in it."""
    found, left = [], [kind]
    while left:
        each = left.pop()
        if each not in found and (is_dataclass(each) or issubclass(each, msgspec.Struct)):
            found.append(each)
            left += [inner for hint in get_type_hints(each).values() for inner in _classes(hint)]
    return found


def _classes(hint: Any) -> list[type]:
    return [inner for each in get_args(hint) for inner in _classes(each)] or [hint] * isinstance(hint, type)


def _plain(schema: Any, enums: Mapping[str, Any]) -> Any:
    """*schema* without defaults, with the names of parts as schemas have them, and with enums in place."""
    if isinstance(schema, list):
        return [_plain(each, enums) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return enums.get(name, {"$ref": f"#/$defs/{name.removesuffix(SUFFIX)}"})
    return {name: _plain(value, enums) for name, value in schema.items() if name != "default"}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for path, text in schemas().items():
        path.write_text(text)
