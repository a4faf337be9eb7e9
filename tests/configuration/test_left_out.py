"""Which databases of a server no search enters."""

from __future__ import annotations

from rotation.configuration.policy import LeftOut
from tests.conftest import Named


def test_the_first_pattern_that_fits_gives_the_reason(named: Named) -> None:
    """A database that a url names is never left out, and neither is one without a name; a bracket is a bracket."""
    patterns = {"zabbix": "of monitoring", "git*": "of builds", "a[1]": "of a", "*": "not ours"}
    left_out = LeftOut(patterns, {"app", "gitea"})
    for database, reason in {
        "zabbix": "of monitoring",
        "gitlab": "of builds",
        "Zabbix": "not ours",
        "a[1]": "of a",
        "a1": "not ours",
        "app": None,
        "gitea": None,
        None: None,
    }.items():
        with named(database):
            assert left_out.why(database) == reason
