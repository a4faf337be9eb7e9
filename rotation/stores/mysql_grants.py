"""What a MariaDB user's grants say that it cannot see. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?P<what>(?:`(?:[^`]|``)*`|\*)\.(?:`(?:[^`]|``)*`|\*)) TO ", re.DOTALL)


def blind_spot(grants: Iterable[str]) -> str | None:
    """Why tables may be invisible to the user of these lines of SHOW GRANTS, with what it may read; None: it sees all.

    A table that the user has no right to is in no catalog that it is shown.
    """
    readable = []
    for line in grants:
        found = _GRANT.match(line)
        if line.startswith("REVOKE"):
            readable.append("less what is revoked")
        elif found and (columns := _columns(found["rights"])) is not None:
            if found["what"] == "*.*":
                return None
            readable.append(found["what"].replace("`", "") + columns)
    return (
        "this user has no SELECT on *.*, so a database, table or column that it has no right to is invisible and was "
        f"not looked at; it may read: {', '.join(readable) or 'nothing'}"
    )


def _columns(rights: str) -> str | None:
    """Which columns these rights let read, in words: none for all. None: they let read nothing."""
    if re.search(r"(?:^|, )(?:ALL PRIVILEGES|SELECT)(?:$|, )", rights):
        return ""
    some = re.search(r"(?:^|, )SELECT \(([^)]*)\)", rights)
    return f" (columns {some[1].replace('`', '')})" if some else None
