"""Renders structlog's events without secrets: masks by names, calls the renderer, then scans the rendered text.

An event stays on one line: what breaks a line, moves a terminal's cursor or turns the text is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from json.encoder import encode_basestring_ascii
from typing import Any

import structlog

from keyring_core.redaction.block_masks import show_masked
from keyring_core.redaction.redactor import Redacted, Redactor, get_redactor, safe_repr
from keyring_core.redaction.sensitive_names import Walk

Render = Callable[[Any, str, dict[str, Any]], str]

# C1 controls and DEL, the separators that some viewers break lines at, what changes the direction of the text, and
# what nobody sees; but not the joiners of emoji and of Indic and Arabic letters.
_OTHERS = r"\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff"
_BREAKING = re.compile(rf"[\x00-\x08\x0a-\x1f{_OTHERS}]")
_BREAKING_BLOCK = re.compile(rf"[\x00-\x08\x0b-\x1f{_OTHERS}]")


def redact_processor(logger: Any, method: str, event: Any) -> Any:
    """A structlog processor. Put it right before the renderer, and a second time after it to scan the rendered text.

    Before the renderer it takes an event dict: it formats exceptions (without frame locals) and masks values under
    sensitive names, and values and shapes in every text; harmless values keep their types. After the renderer it takes
    the rendered text. It covers this chain only. Never raises.

    Examples:
        >>> redact_processor(None, "info", {"event": "login", "password": "hunter22"})
        {'event': 'login', 'password': '[REDACTED:password]'}
    """
    redactor = get_redactor()
    if isinstance(event, str):
        return redactor.redact_json(event) if event.startswith("{") else redactor.redact(event)
    if isinstance(event, bytes | bytearray):
        text = event.decode("utf-8", "surrogateescape")
        return redact_processor(logger, method, text).encode("utf-8", "surrogateescape")
    try:
        formatted = structlog.processors.format_exc_info(logger, method, dict(event))
        shown = show_masked(event.get("exc_info"), redactor.redact_value, formatted)
    except Exception as error:
        shown = type(error).__name__
    return shown if isinstance(shown, dict) else {"event": "withheld", "level": method, "error": shown}


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
        line, _, rest = self._line(logger, method, self._redactor.redact_event(event)).partition("\n")
        return Redacted(f"{line}\n{block(rest)}" if rest else line)

    def _line(self, logger: Any, method: str, event: Mapping[str, Any]) -> str:
        redactor = self._redactor
        return str(
            redactor.redact_rendered(lambda one: self._render(logger, method, dict(one)), event, redactor.redact_value)
        )


class ConsoleRenderer(OtherRenderer):
    """Renders events with structlog's console renderer, without secrets, on one line; tracebacks follow indented."""

    def __call__(self, logger: Any, method: str, event: Mapping[str, Any]) -> Redacted:
        """*event* as text."""
        named = dict(self._redactor.redact_event(event))
        blocks = [named.pop(name) for name in ("stack", "exception") if isinstance(named.get(name), str)]
        flat = Walk(self._redactor.names, _flat_leaf).mapping(named)
        line = self._line(logger, method, flat)
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


def to_json(event: Mapping[str, Any]) -> str:
    """*event* as one line of JSON; other objects by their repr."""
    encode = _orjson() or _encode
    try:
        return encode(event)
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

    def encode(event: Any) -> str:
        text: str = orjson.dumps(event, _fallback, options).decode()
        # JSON allows some breaking characters as they are, and orjson writes them so.
        return text if text.isascii() else _BREAKING.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

    return encode


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


def one_line(text: str) -> str:
    r"""*text* without line breaks and terminal sequences: a newline becomes ``\n``."""
    return text if text.isprintable() else _BREAKING.sub(_escape, text)


def block(text: str) -> str:
    """A traceback as indented lines, which no event starts with; escapes what moves the cursor."""
    shown = _BREAKING_BLOCK.sub(_escape, text.strip("\n"))
    return "    " + shown.replace("\n", "\n    ")


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
