"""A verdict as a JSON document."""

from __future__ import annotations

from typing import Any

from rotation.checks.findings import Finding, Level, Result
from rotation.checks.verdict import Verdict


def document(verdict: Verdict) -> dict[str, Any]:
    """The one document of `check --format json`."""
    facts = verdict.facts
    return {
        "status": verdict.level.name,
        "exit_code": int(verdict.level),
        "checked": verdict.now.isoformat(),
        "service": facts.service,
        "sample": facts.sample,
        "keys": [
            {"id": key_id, "state": str(state), **({"service": part.facts.service} if verdict.parts else {})}
            for part in verdict.by_keys
            for key_id, state in (part.facts.keys or {}).items()
        ],
        "checks": [_row(result.level, result, "check", "off", "title") for result in verdict.results],
        "findings": [
            _row(finding.level, finding, "check", "subject", "message", "remedy") for finding in verdict.findings
        ],
        "ignored": [remark._asdict() for remark in facts.ignored],
        "targets": [
            {
                "name": target.census.name,
                "column": target.census.target.column,
                **target.census.counts.document(),
            }
            for part in verdict.by_keys
            for target in part.facts.targets
        ],
    }


def list_document(checks: list[Result]) -> dict[str, Any]:
    """The one document of `check --list --format json`."""
    fields = ("check", "title", "remedy", "off")
    return {"checks": [{name: getattr(check, name) for name in fields} for check in checks]}


def _row(level: Level, value: Finding | Result, *names: str) -> dict[str, Any]:
    return {"status": level.name, **{name: getattr(value, name) for name in names}}
