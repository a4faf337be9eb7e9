"""A verdict as metrics, in a file for the node exporter's textfile collector.

Naming: https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from keyring_core import KeyringError, KeyState
from keyring_core.names import printable
from rotation.checks.facts import TargetFacts
from rotation.checks.verdict import Verdict
from rotation.ledger.ledger import service_name
from rotation.model.outputs import Output, replaced

METRICS = replaced("metrics file of this program", rb"# HELP keyring_")
CELLS = ("empty", "plaintext", "unreadable", "unsettled", "null", "nested")
_PLACE = ("target", "column")


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
        self._verdict = verdict

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """All of them."""
        parts = self._verdict.by_keys
        # Otherwise two services on one machine, or two key sets, would write the same series.
        named = len(parts) > 1 or parts[0].facts.service != service_name({})
        for first, *others in zip(*(_PartMetrics(part, named=named).families() for part in parts), strict=True):
            for other in others:
                first.samples += other.samples
            yield first


class _PartMetrics:
    """The families of the verdict on one key set."""

    def __init__(self, verdict: Verdict, *, named: bool) -> None:
        self._verdict = verdict
        self._common: Mapping[str, str] = {"service": verdict.facts.service} if named else {}

    def families(self) -> Iterator[GaugeMetricFamily]:
        """All of them, in the same order for every part."""
        yield from self._checks()
        yield from self._keys()
        yield from self._runs()
        yield from self._targets()

    def _family(self, name: str, words: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(f"keyring_{name}", words, labels=[*self._common, *labels])

    def _add(self, family: GaugeMetricFamily, value: float, *labels: str) -> None:
        family.add_metric([printable(label) for label in (*self._common.values(), *labels)], value)

    def _checks(self) -> Iterator[GaugeMetricFamily]:
        verdict = self._verdict
        status = self._family("check_status", "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, per check.", "check")
        off = self._family("check_off", "1: the policy has turned this check off.", "check")
        for result in verdict.results:
            self._add(status, int(result.level), result.check)
            self._add(off, int(result.off is not None), result.check)
        overall = self._family("status", "0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN, over all checks.")
        self._add(overall, int(verdict.level))
        checked = self._family("last_check_timestamp_seconds", "When the check was made.")
        self._add(checked, verdict.now.timestamp())
        sample = self._family("sample_rows", "Rows of each target that were read; 0: all.")
        self._add(sample, verdict.facts.sample or 0)
        yield from (status, off, overall, checked, sample)

    def _keys(self) -> Iterator[GaugeMetricFamily]:
        verdict, facts = self._verdict, self._verdict.facts
        primary = self._family(
            "primary_key_age_seconds", "Since the primary key was promoted, or found to be primary: it may be older."
        )
        if (age := verdict.age(KeyState.PRIMARY)) is not None:
            self._add(primary, age.total_seconds())
        limit = self._family(
            "primary_key_max_age_seconds", "How old the policy lets the primary key become; none while key_age is off."
        )
        if "key_age" not in verdict.policy.off:
            self._add(limit, verdict.policy.max_key_age.total_seconds())
        since = self._family(
            "key_state_timestamp_seconds",
            "When a key was staged, promoted or replaced, at the latest.",
            "key_id",
            "state",
        )
        for key_id, state in (facts.keys or {}).items():
            if (when := facts.since(key_id)) is not None:
                self._add(since, when.timestamp(), key_id, str(state))
        yield from (primary, limit, since)

    def _runs(self) -> Iterator[GaugeMetricFamily]:
        facts = self._verdict.facts
        runs = [run for run in facts.runs if run.command == "run" and run.service == facts.service]
        ended = self._family("last_run_timestamp_seconds", "When the last finished run ended.")
        failed = self._family("last_run_failed", "1: that run failed or was interrupted.")
        for run in runs:
            if run.finished is not None:
                self._add(ended, run.finished.timestamp())
                self._add(failed, int(run.outcome in {"failed", "interrupted"}))
                break
        yield from (ended, failed)

    def _targets(self) -> Iterator[GaugeMetricFamily]:
        facts = self._verdict.facts
        tokens = self._family("tokens", "Tokens stored under a key.", *_PLACE, "key_id", "state")
        cells = self._family("cells", "Cells that are not sound tokens of a loaded key, per kind.", *_PLACE, "kind")
        times = {
            end: self._family(
                f"{end}_token_timestamp_seconds", f"When the {end} token under a key was issued.", *_PLACE, "key_id"
            )
            for end in ("oldest", "youngest")
        }
        reached = self._family("target_up", "1: the target was read.", "target")
        for label in facts.unreached:
            self._add(reached, 0, label)
        for target, place in _places(facts.targets):
            self._add(reached, 1, target.label)
            for key_id, state in (facts.keys or {}).items():
                self._add(tokens, target.census.counts.under.get(key_id, 0), *place, key_id, str(state))
            for kind in CELLS:
                self._add(cells, getattr(target.census.counts, kind), *place, kind)
            for end, family in times.items():
                for key_id, seconds in getattr(target.census.counts, end).items():
                    self._add(family, seconds, *place, key_id)
        yield from (tokens, cells, *times.values(), reached)


def _places(targets: Sequence[TargetFacts]) -> Iterator[tuple[TargetFacts, tuple[str, str]]]:
    """Each target with its labels. Prometheus rejects the whole file if one series is in it twice."""
    named = Counter((target.census.name, target.census.target.column) for target in targets)
    for target in targets:
        name, column = target.census.name, target.census.target.column
        yield target, (name if named[name, column] == 1 else target.label, column)
