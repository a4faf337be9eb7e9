"""The reads of this process as metrics, for a service's own page of metrics. Needs no package.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

from datetime import datetime

from keyring_core.config import statuses
from keyring_core.key_reads import key_reads

# One for each field of KeyReads, in their order.
_FAMILIES = (
    ("key_opened_total", "counter", "Tokens that this process opened under a key."),
    ("key_last_opened_timestamp_seconds", "gauge", "When this process last opened a token under a key."),
    ("key_refused_total", "counter", "Tokens that this process did not open, because their key is suspended."),
    (
        "key_last_refused_timestamp_seconds",
        "gauge",
        "When this process last refused a token, because its key is suspended.",
    ),
)


def reads_metrics() -> str:
    """The reads with each key of `get_keyring` and of the key sets in use, in Prometheus' text format.

    The labels are `key_id` and `state`. A key in several key sets has the state of the first one. A key that was not
    read with has no time. Loads the keys, or checks their sources, as `keyring_status` does, and raises nothing.

    Examples:
        >>> print(reads_metrics())
        # HELP keyring_key_opened_total Tokens that this process opened under a key.
        # TYPE keyring_key_opened_total counter
        keyring_key_opened_total{key_id="...",state="primary"} ...
    """
    states: dict[str, str] = {}
    for status in statuses():
        for key in status["keys"]:
            states.setdefault(key["id"], key["state"])
    reads = key_reads()
    lines = []
    for place, (name, kind, words) in enumerate(_FAMILIES):
        lines += [f"# HELP keyring_{name} {words}", f"# TYPE keyring_{name} {kind}"]
        for key_id, state in states.items():
            value = reads[key_id][place]
            if value is not None:
                number = value.timestamp() if isinstance(value, datetime) else value
                # Ids are hex digits, and states words: nothing in them has to be escaped.
                lines.append(f'keyring_{name}{{key_id="{key_id}",state="{state}"}} {number}')
    return "\n".join(lines) + "\n"
