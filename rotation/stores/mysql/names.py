"""Names and values in MariaDB's own SQL."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

BYTES = (sa.LargeBinary, mysql.BINARY, mysql.VARBINARY, mysql.TINYBLOB, mysql.MEDIUMBLOB, mysql.LONGBLOB)


def quote(name: str) -> str:
    """*name* as an identifier."""
    # SQLAlchemy's own quoting doubles a percent sign, and literal SQL doubles it once more.
    return f"`{name.replace('`', '``')}`"


def is_binary(kind: sa.types.TypeEngine[Any]) -> bool:
    """Whether a column of this type holds bytes."""
    return isinstance(kind, BYTES)


def as_bytes(cell: str) -> str:
    """A text as its bytes of UTF-8, which no collation takes for others."""
    return f"CAST(CONVERT({cell} USING utf8mb4) AS BINARY)"
