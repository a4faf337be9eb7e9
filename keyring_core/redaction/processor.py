"""`redact_processor`: masks events of an existing structlog configuration."""

from __future__ import annotations

from typing import Any

import structlog

from keyring_core.redaction.current import get_redactor
from keyring_core.redaction.deferred import show_masked


def redact_processor(logger: Any, method: str, event: Any) -> Any:
    """A structlog processor. Put it right before the renderer, and a second time after it to scan the rendered text.

    Before the renderer it takes an event dict: it formats exceptions (without frame locals) and masks values under
    sensitive names, and values and shapes in every text; harmless values keep their types. After the renderer it takes
    the rendered text. It covers this chain only. Never raises.
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
        return shown if isinstance(shown, dict) else {"event": "withheld", "level": method, "error": shown}
    except Exception as error:
        return {"event": "withheld", "level": method, "error": type(error).__name__}
