"""What a MariaDB user cannot see, according to its grants. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_LINE = re.compile(
    r"(?P<word>GRANT|REVOKE) (?P<rights>.+?) ON (?P<what>(?:`(?:[^`]|``)*`|\*)\.(?:`(?:[^`]|``)*`|\*)) (?:TO|FROM) ",
    re.DOTALL,
)


def blind_spot(grants: Iterable[str]) -> str | None:
    """Why tables may be invisible to the user of these lines of SHOW GRANTS, with what it may read; None: it sees all.

    No catalog shows a table that the user has no right to.
    """
    readable: list[str] = []
    revoked: list[str] = []
    sees_all = False
    for line in grants:
        found = _LINE.match(line)
        columns = _columns(found["rights"]) if found else None
        if not found or columns is None:
            continue
        what = found["what"].replace("`", "")
        if found["word"] == "REVOKE":
            revoked.append(what)
        elif found["what"] == "*.*":
            sees_all = True
        else:
            readable.append(what + columns)
    if sees_all and not revoked:
        return None
    less = f"it lost SELECT on {', '.join(revoked)}"
    if sees_all:
        return f"this user has SELECT on *.*, but {less} (REVOKE): what is there is invisible and was not looked at"
    if revoked:
        readable.append(f"but {less}")
    return (
        "this user has no SELECT on *.*, so a database, table or column that it has no right to is invisible and was "
        f"not looked at; it may read: {', '.join(readable) or 'nothing'}"
    )


def _columns(rights: str) -> str | None:
    """Which columns these rights let the user read, in words: empty for all of them; None if it may read nothing."""
    if re.search(r"(?:^|, )(?:ALL PRIVILEGES|SELECT)(?:$|, )", rights):
        return ""
    some = re.search(r"(?:^|, )SELECT \(([^)]*)\)", rights)
    return f" (columns {some[1].replace('`', '')})" if some else None
