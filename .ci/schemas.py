"""Writes rotation/schemas: a JSON schema of rotation.toml for editors, and one of each document that a command prints.

`python .ci/schemas.py` writes them; a test compares.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from json_documents import DOCUMENTS

from rotation.configuration import config_file
from rotation.configuration.declarations import Declaration
from rotation.configuration.key_sets import KeySet, KeySource
from rotation.configuration.policy import Policy, Span
from rotation.configuration.presets import App
from rotation.configuration.settings import NEEDED, SECTIONS, Setting

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


def document_schema(kind: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a document, with the docstring of each field."""
    found = msgspec.json.schema(kind, ref_template="#/$defs/{name}")
    for name, part in found["$defs"].items():
        words = _DOCSTRINGS[name]
        part.pop("title", None)
        for field, schema in part["properties"].items():
            schema.pop("default", None)
            schema["description"] = words[field]
    top = found["$defs"].pop(kind.__name__)
    title = top["description"]
    return {"$schema": DRAFT, "title": title, **{n: v for n, v in top.items() if n != "description"}} | (
        {"$defs": found["$defs"]} if found["$defs"] else {}
    )


def _docstrings() -> dict[str, dict[str, str]]:
    """The docstring of each field of each struct of json_documents.py, those that it inherits included."""
    found: dict[str, dict[str, str]] = {}
    for each in ast.parse((Path(__file__).parent / "json_documents.py").read_text()).body:
        if isinstance(each, ast.ClassDef):
            inherited = [found.get(base.id, {}) for base in each.bases if isinstance(base, ast.Name)]
            own = {
                field.target.id: text.value.value
                for field, text in zip(each.body, each.body[1:], strict=False)
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
                if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            }
            found[each.name] = {name: words for part in (*inherited, own) for name, words in part.items()}
    return found


_DOCSTRINGS = _docstrings()

if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    for path, text in schemas().items():
        path.write_text(text)
