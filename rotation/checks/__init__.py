"""The scheduled checks: facts, policy and the time in; findings and a verdict out."""

from rotation.checks.facts import Facts, Finding, Level, Result
from rotation.checks.use_cases import Overview, examine, overview
from rotation.checks.verdict import Verdict, list_checks, run_checks

__all__ = [
    "Facts",
    "Finding",
    "Level",
    "Overview",
    "Result",
    "Verdict",
    "examine",
    "list_checks",
    "overview",
    "run_checks",
]
