"""Whether a key may be retired: the evidence, and the decision. Pure."""

from rotation.retirement.decision import Refusal, Standing, gaps, gone, not_looked_at, refusals, standing, unopened
from rotation.retirement.evidence import Evidence, of_censuses, of_report

__all__ = [
    "Evidence",
    "Refusal",
    "Standing",
    "gaps",
    "gone",
    "not_looked_at",
    "of_censuses",
    "of_report",
    "refusals",
    "standing",
    "unopened",
]
