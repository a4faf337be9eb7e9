"""Writes rotation/schemas: a JSON schema of rotation.toml for editors, and one of each document that a command prints.

`python .ci/schemas.py` writes them; a test compares.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
from msgspec import UnsetType

from rotation.audit import LedgerVerifyJson
from rotation.configuration.key_sources import FORMS
from rotation.configuration.policy import Duration, Policy
from rotation.configuration.sections import SECTIONS
from rotation.configuration.settings import NEEDED, Section, section_settings
from rotation.job.problems_file import ProblemLine
from rotation.lifecycle.retirement_files import Certificate
from rotation.output.documents.found import CheckJson, CheckListJson, DiscoverJson, ReportJson
from rotation.output.documents.parts import (
    CheckErrorJson,
    DemoJson,
    ErrorJson,
    InitJson,
    LedgerInitJson,
    LedgerKeygenJson,
    LedgerSqlJson,
    NewKeyJson,
)
from rotation.output.documents.run import RunJson
from rotation.output.key_steps import KeysListJson, KeysSettingJson, KeysStepJson
from rotation.output.trial import KeysTryJson

FOLDER = Path(__file__).parents[1] / "rotation" / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
CONFIG = "rotation.toml"
DURATION = {"type": "string", "pattern": "^[0-9]{1,12}[smhdw]$"}
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
    "keys-try": KeysTryJson,
    "certificate": Certificate,
    "ledger-init": LedgerInitJson,
    "ledger-sql": LedgerSqlJson,
    "ledger-verify": LedgerVerifyJson,
    "ledger-keygen": LedgerKeygenJson,
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
    parts["key"]["oneOf"] = [{"required": [name]} for name in FORMS]
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
    settings = section_settings(*kinds)
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
        properties[setting] = _of_setting(found["properties"][setting]) | each.schema | {"description": words}
    required = {"required": found["required"]} if found["required"] else {}
    return {"type": "object", "properties": properties, "additionalProperties": False, **required}


def _of_setting(schema: dict[str, Any]) -> dict[str, Any]:
    """*schema* without null, which TOML does not have, and without a default, which the description names.

    A section in it is referred to by its name; another type is a text.
    """
    options = [each for each in schema.pop("anyOf", []) if each != {"type": "null"}]
    schema = {name: value for name, value in schema.items() if name != "default"}
    schema |= options[0] if len(options) == 1 else {"anyOf": list(map(_of_setting, options))} if options else {}
    if "items" in schema:
        schema["items"] = _of_setting(schema["items"])
    if "$ref" in schema:
        kind = schema.pop("$ref").rpartition("/")[2]
        schema |= _ref(_NAMES[kind]) if kind in _NAMES else {"type": "string"}
    return schema


_NAMES = {kind.__name__: name for name, kinds in SECTIONS.items() for kind in kinds}
"""The section of each type."""


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


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
