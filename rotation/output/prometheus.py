"""A verdict as metrics, in a file for the node exporter's textfile collector.

Naming: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from keyring_core import KeyringError, KeyState
from keyring_core.errors import printable
from rotation.checks.facts import Facts
from rotation.checks.verdict import Verdict
from rotation.ledger.ledger import service_name
from rotation.world.outputs import Output, replaced

METRICS = replaced("metrics file of this program", rb"# HELP keyring_")
CELLS = ("empty", "plaintext", "unreadable", "unsettled", "null", "nested")
_PLACE = ("target", "column")
_Family: TypeAlias = tuple[str, str, Sequence[str], Iterable[tuple[Any, ...]]]
"""Name, words, labels and samples: each a value, and behind it its labels."""


def write(output: Output, verdict: Verdict) -> str | None:
    """Writes the file *output* whole, in place of the last one. Returns why that failed, or None."""
    registry = CollectorRegistry()
    registry.register(_Metrics(verdict))
    try:
        with output.whole() as file:
            file.write(generate_latest(registry))
    except KeyringError as error:
        fault = str(error)
    except OSError as error:
        fault = f"{output.called}: could not be written: {error.strerror}"
    else:
        return None
    return f"{fault.rstrip('.')}; the metrics there are of an earlier check"


class _Metrics(Collector):
    """The families of one verdict; each has the series of all key sets."""

    def __init__(self, verdict: Verdict) -> None:
        self._parts = verdict.by_keys
        # Otherwise two services on one machine, or two key sets, would write the same series.
        self._named = len(self._parts) > 1 or verdict.facts.service != service_name({})

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All of them."""
        for first, *others in zip(*map(self._families, self._parts), strict=True):
            for other in others:
                first.samples += other.samples
            yield first

    def _families(self, verdict: Verdict) -> Iterator[GaugeMetricFamily]:
        """The families of the verdict on one key set, in the same order for every part."""
        common = {"service": verdict.facts.service} if self._named else {}
        for name, words, labels, samples in (*_of_checks(verdict), *_of_keys(verdict), *_of_targets(verdict.facts)):
            family = GaugeMetricFamily(f"keyring_{name}", words, labels=[*common, *labels])
            for value, *named in samples:
                family.add_metric([printable(str(label)) for label in (*common.values(), *named)], value)
            yield family


def _of_checks(verdict: Verdict) -> Iterator[_Family]:
    levels = "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN"
    results = verdict.results
    statuses = ((int(result.level), result.check) for result in results)
    yield ("check_status", f"{levels}, per check.", ["check"], statuses)
    off = ((int(result.off is not None), result.check) for result in results)
    yield ("check_off", "1: the policy has turned this check off.", ["check"], off)
    yield ("status", f"{levels}, over all checks.", [], [(int(verdict.level),)])
    yield ("last_check_timestamp_seconds", "When the check was made.", [], [(verdict.now.timestamp(),)])
    yield ("sample_rows", "Rows of each target that were read; 0: all.", [], [(verdict.facts.sample or 0,)])


def _of_keys(verdict: Verdict) -> Iterator[_Family]:
    facts, age = verdict.facts, verdict.age(KeyState.PRIMARY)
    words = "Since the primary key was promoted, or found to be primary: it may be older."
    yield ("primary_key_age_seconds", words, [], [] if age is None else [(age.total_seconds(),)])
    limit = [] if "key_age" in verdict.policy.off else [(verdict.policy.max_key_age.total_seconds(),)]
    words = "How old the policy lets the primary key become; none while key_age is off."
    yield ("primary_key_max_age_seconds", words, [], limit)
    dates = ((facts.since(key_id), key_id, state) for key_id, state in (facts.keys or {}).items())
    since = ((when.timestamp(), key_id, state) for when, key_id, state in dates if when is not None)
    words = "When a key was staged, promoted or replaced, at the latest."
    yield ("key_state_timestamp_seconds", words, ["key_id", "state"], since)
    runs = [run for run in facts.runs if run.command == "run" and run.service == facts.service and run.finished]
    ended = [(run.finished.timestamp(),) for run in runs[:1] if run.finished]
    yield ("last_run_timestamp_seconds", "When the last finished run ended.", [], ended)
    failed = [(int(run.outcome in {"failed", "interrupted"}),) for run in runs[:1]]
    yield ("last_run_failed", "1: that run failed or was interrupted.", [], failed)


def _of_targets(facts: Facts) -> Iterator[_Family]:
    # Prometheus rejects the whole file if one series is in it twice.
    names = Counter((target.census.name, target.census.target.column) for target in facts.targets)
    counted = []
    for target in facts.targets:
        name, column = target.census.name, target.census.target.column
        counted.append((target.counts, name if names[name, column] == 1 else target.label, column))
    tokens = (
        (counts.under.get(key_id, 0), *place, key_id, state)
        for counts, *place in counted
        for key_id, state in (facts.keys or {}).items()
    )
    yield ("tokens", "Tokens stored under a key.", [*_PLACE, "key_id", "state"], tokens)
    cells = ((getattr(counts, kind), *place, kind) for counts, *place in counted for kind in CELLS)
    yield ("cells", "Cells that are not sound tokens of a loaded key, per kind.", [*_PLACE, "kind"], cells)
    for end in ("oldest", "youngest"):
        times = [
            (seconds, *place, key_id) for counts, *place in counted for key_id, seconds in getattr(counts, end).items()
        ]
        words = f"When the {end} token under a key was issued."
        yield (f"{end}_token_timestamp_seconds", words, [*_PLACE, "key_id"], times)
    reached = [*((0, label) for label in facts.unreached), *((1, target.label) for target in facts.targets)]
    yield ("target_up", "1: the target was read.", ["target"], reached)
