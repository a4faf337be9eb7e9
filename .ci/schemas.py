"""Writes rotation/schemas: a JSON schema of rotation.toml for editors, and one of each document that a command prints.

`python .ci/schemas.py` writes them; a test compares.
"""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import msgspec
from json_documents import DOCUMENTS

from rotation.configuration.policy import Duration, Policy
from rotation.configuration.sections import SECTIONS
from rotation.configuration.settings import NEEDED, Section, settings_of

FOLDER = Path(__file__).parents[1] / "rotation" / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
CONFIG = "rotation.toml"
DURATION = {"type": "string", "pattern": "^[0-9]{1,12}[smhdw]$"}


def schemas() -> dict[Path, str]:
    """Every schema, by its path."""
    made = {CONFIG: config_schema()} | {name: document_schema(kind) for name, kind in DOCUMENTS.items()}
    return {FOLDER / f"{name}.schema.json": json.dumps(schema, indent=2) + "\n" for name, schema in made.items()}


def config_schema() -> dict[str, Any]:
    """The schema of rotation.toml, made of the types that read it."""
    parts = {name: _section(*kinds) for name, kinds in SECTIONS.items()}
    top = parts.pop("top")["properties"]
    top["target"]["items"], top["app"]["items"], top["ignore"]["items"] = map(_ref, ("target", "app", "ignore"))
    top["keys"]["additionalProperties"] = _ref("keys")
    top["policy"] |= _ref("policy")
    # An entry names its columns, or the models that do.
    del parts["target"]["required"]
    parts["target"]["anyOf"] = [
        {"required": ["url", "table", "columns"]},
        {"required": ["url", "models"]},
        {"required": ["django"]},
    ]
    parts["key"]["oneOf"] = [{"required": [name]} for name in ("secret", "file", "command")]
    return {
        "$schema": DRAFT,
        "title": CONFIG,
        "description": "Which columns hold tokens, which keys open them, and how old keys may become.",
        "type": "object",
        "properties": top,
        "additionalProperties": False,
        "$defs": parts,
    }


def _ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def _section(*kinds: type[Section]) -> dict[str, Any]:
    """The schema of a section whose entries are of any of *kinds*."""
    settings = settings_of(*kinds)
    if Policy in kinds:
        # A default of a type of our own has no place in a schema.
        limits = [(each.name, each.type, None) for each in msgspec.structs.fields(Policy)]
        kinds = (msgspec.defstruct("Policy", limits),)
    _, made = msgspec.json.schema_components(kinds, schema_hook={Duration: DURATION}.get, ref_template="#/$defs/{name}")
    found = made[kinds[0].__name__]
    for kind in kinds[1:]:
        found["properties"] = made[kind.__name__]["properties"] | found["properties"]
    properties = {}
    for setting, each in settings.items():
        default = each.default if NEEDED in each.default else f"default: {each.default}"
        words = f"{_sentence(each.words)}{f' {_sentence(default)}' * (each.default != 'none')}"
        properties[setting] = _plain(found["properties"][setting]) | each.schema | {"description": words}
    required = {"required": found["required"]} if found["required"] else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **required}


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """*schema* without null, which TOML does not have, and without a default, which the description names.

    A section in it is referred to by its name; another type is a text.
    """
    options = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    schema = {name: value for name, value in schema.items() if name != "default"}
    schema |= options[0] if len(options) == 1 else {"anyOf": options} if options else {}
    if "items" in schema:
        schema["items"] = _plain(schema["items"])
    if "$ref" in schema:
        kind = schema.pop("$ref").rpartition("/")[2]
        schema |= _ref(_NAMES[kind]) if kind in _NAMES else {"type": "string"}
    return schema


_NAMES = {kind.__name__: name for name, kinds in SECTIONS.items() for kind in kinds}
"""The section of each type."""


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


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
