"""Renders events without secrets: masks by names, calls the renderer, then scans the rendered text."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from json.encoder import encode_basestring_ascii
from typing import Any

from keyring_core.redaction.lines import block, escape_json, one_line
from keyring_core.redaction.redactor import Redacted, Redactor, safe_repr
from keyring_core.redaction.walk import Walk

Render = Callable[[Any, str, dict[str, Any]], str]


def to_json(event: Mapping[str, Any]) -> str:
    """*event* as one line of JSON; other objects by their repr."""
    fast = _orjson()
    try:
        return _encode(event) if fast is None else escape_json(fast(event))
    except (TypeError, ValueError):  # keys of other types, numbers beyond 64 bits, lone surrogates
        return _encode(_string_keys(event))


@cache
def _orjson() -> Callable[[Any], str] | None:
    """A serializer made of orjson, if that is installed. Cached: a failed import costs more than a line."""
    try:
        orjson = import_module("orjson")
    except ImportError:
        return None
    # A dataclass is shown by its repr, which may hide a field.
    options = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_NON_STR_KEYS
    return lambda event: orjson.dumps(event, _fallback, options).decode()


def _fallback(value: Any) -> Any:
    """A value that JSON does not know."""
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, dict):
        return dict(value)
    return safe_repr(value)


def _string_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else safe_repr(key): _string_keys(item) for key, item in value.items()}
    return [_string_keys(item) for item in value] if isinstance(value, list | tuple) else value


def _encoder() -> Callable[[Any], str]:
    """Encodes like ``json.dumps``, without a check for circles: the walk has cut them already.

    ``JSONEncoder.encode`` makes a C encoder for every event, which takes as long as a small event. This makes one.
    """
    plain = json.JSONEncoder(default=_fallback, check_circular=False)
    separators = plain.key_separator, plain.item_separator
    options = plain.sort_keys, plain.skipkeys, plain.allow_nan
    make: Any = json.encoder.c_make_encoder  # type: ignore[attr-defined]
    try:
        chunks = make(None, _fallback, encode_basestring_ascii, plain.indent, *separators, *options)
        "".join(chunks({}, 0))
    except TypeError:  # it may be None, and its arguments are not documented
        return plain.encode
    return lambda event: "".join(chunks(event, 0))


_encode = _encoder()


class JsonRenderer:
    """Renders events as JSON without secrets; the last processor of a chain."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def __call__(self, _logger: Any, _method: str, event: Mapping[str, Any]) -> Redacted:
        """*event* as a line of JSON."""
        return Redacted(self._redactor.redact_json(to_json(self._redactor.redact_event(event))))


class OtherRenderer:
    """Renders events with *render*, without secrets; indents all lines but the first."""

    def __init__(self, redactor: Redactor, render: Render) -> None:
        self._redactor = redactor
        self._render = render

    def __call__(self, logger: Any, method: str, event: Mapping[str, Any]) -> Redacted:
        """*event* as text."""
        named = dict(self._redactor.redact_event(event))
        line, _, rest = self._redactor.redact_json(self._render(logger, method, named)).partition("\n")
        return Redacted(f"{line}\n{block(rest)}" if rest else line)


class ConsoleRenderer(OtherRenderer):
    """Renders events with structlog's console renderer, without secrets, on one line; tracebacks follow indented."""

    def __call__(self, logger: Any, method: str, event: Mapping[str, Any]) -> Redacted:
        """*event* as text."""
        named = dict(self._redactor.redact_event(event))
        blocks = [named.pop(name) for name in ("stack", "exception") if isinstance(named.get(name), str)]
        flat = Walk(self._redactor.names, _flat_leaf).event(named)
        line = self._redactor.redact(self._render(logger, method, dict(flat)))
        return Redacted("\n".join([line, *(block(self._redactor.redact(text)) for text in blocks)]))


def _flat_leaf(value: Any) -> Any:
    """*value*; its text on one line if that has several."""
    shown = value if isinstance(value, str) else safe_repr(value)
    flat = one_line(shown)
    return value if flat == shown else flat


def withheld(error: BaseException, logger: str | None, level: str | None) -> str:
    """Replaces an event whose redaction failed: shows that there was one, without its content."""
    return json.dumps(withheld_event(error, logger, level))


def withheld_event(error: BaseException, logger: str | None, level: str | None) -> dict[str, Any]:
    """The same, not rendered yet."""
    return {"event": "withheld", "logger": logger, "level": level, "error": type(error).__name__}
