"""How a database may be replaced while the ledger still knows its 300 tokens."""

from __future__ import annotations

from dataclasses import dataclass

from tests.hiding.estate import Estate, make_afresh, second


@dataclass(frozen=True)
class Swap:
    """Statements on the database, or another database in its place; then the target's table is made again."""

    id: str
    why: str
    statements: tuple[str, ...] = ()
    database: str = "same"
    """`same`, `afresh` for another database at the same url, or `other` for one at another url."""
    tokens: int | None = 0
    """How many current tokens the table made again holds; None: it is not made again."""

    def do(self, made: Estate) -> None:
        """Swaps."""
        made.put(self.statements, "")
        if self.database == "afresh":
            make_afresh(made.database)
        other = second(made.database) if self.database == "other" else made.database
        if self.tokens is not None:
            made.fill(made.current(self.tokens), other)
        if other is not made.database:
            made.write_config(other.url)
            other.engine.dispose()


SWAPS = (
    Swap(
        "emptied", "somebody deleted the rows, and a backup will bring them back", ("DELETE FROM creds",), tokens=None
    ),
    Swap("made-again", "a migration made the table again", ("DROP TABLE creds",)),
    Swap("made-again-in-use", "and services have written to it since", ("DROP TABLE creds",), tokens=5),
    Swap("renamed", "the rows stand under another name", ("ALTER TABLE creds RENAME TO creds_before",), tokens=2),
    Swap("set-to-null", "a script emptied the column", ("UPDATE creds SET token = NULL",), tokens=None),
    Swap("fresh-database", "the volume was not mounted: a fresh database is at the same url", database="afresh"),
    Swap("fresh-database-in-use", "and services have written to it since", database="afresh", tokens=5),
    Swap("other-database", "the url leads to a staging copy by mistake", database="other", tokens=2),
    Swap("other-empty-database", "the url leads to an empty database by mistake", database="other"),
)
