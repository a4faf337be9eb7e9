"""The table of cases: in which place a token hides, in which form, on which databases, and why that is realistic."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tests.hiding import mariadb, postgresql, sqlite
from tests.hiding.dresses import IN_TEXT, NOT_LOOKED_FOR
from tests.hiding.place import Place

ALL = "sqlite postgresql mariadb"
PLACES = {"sqlite": sqlite.PLACES, "postgresql": postgresql.PLACES, "mariadb": mariadb.PLACES}


@dataclass(frozen=True)
class Row:
    """One hiding place on one database."""

    kind: str
    where: str
    dress: str
    why: str

    @property
    def id(self) -> str:
        """What the test is called."""
        return f"{self.kind}-{self.where}-{self.dress}"

    @property
    def place(self) -> Place:
        """How it is made."""
        return PLACES[self.kind][self.where]


_HIDES: tuple[tuple[str, str, str, str], ...] = (
    # The target's own column.
    (ALL, "target", "bare", "a row that no run has reached yet"),
    (ALL, "target", "nested", "a service encrypted what was encrypted already"),
    ("sqlite mariadb", "target", "nested-in-json", "an OAuth reply with a token in it was encrypted"),
    ("postgresql", "target", "nested-in-list", "recovery codes, each encrypted, stored as one secret"),
    ("mariadb", "target", "nested-in-base64", "a Kubernetes secret was encrypted as it stood"),
    ("postgresql", "target", "nested-in-hex", "a bytea's text was encrypted"),
    ("sqlite", "target", "nested-decoded", "a service encrypted the token's bytes"),
    ("postgresql mariadb", "target", "nested-twice", "two layers encrypt, and a migration did again"),
    ("sqlite", "target", "nested-twice-in-json", "the same, with documents in between"),
    ("sqlite postgresql", "target", "hex", "str() of a driver's bytes that somebody converted by hand"),
    ("postgresql", "target", "hex-upper", "HEX() of a migration script"),
    ("mariadb", "target", "hex-bytea", "the text of a bytea went into a text column"),
    ("mariadb", "target", "hex-0x", "a dump wrote the literal of a blob"),
    ("sqlite", "target", "hex-of-decoded", "a Java client stores hex of the bytes"),
    ("sqlite mariadb", "target", "base64", "an ORM encoded what was base64 already"),
    ("sqlite", "target", "base64-no-padding", "the same from a JWT library"),
    ("sqlite", "target", "base64-twice", "two layers encode"),
    (ALL, "target", "json-value", "half of the application stores JSON in this column"),
    ("postgresql", "target", "json-twice", "the same through a queue"),
    ("sqlite", "target", "json-escaped", "an encoder that escapes every character"),
    ("sqlite postgresql", "target", "standard", "a Java client wrote the other alphabet, which stock Fernet reads"),
    ("mariadb", "target", "wrapped-76-crlf", "a MIME library wrapped it, which stock Fernet reads"),
    ("postgresql", "target", "wrapped-64-lf", "openssl wrapped it"),
    ("sqlite", "target", "no-padding", "a URL library dropped the padding"),
    ("sqlite", "target", "blank-inside", "pasted from a terminal"),
    ("mariadb", "target", "prefix-enc", "a marker that tells encrypted values from others"),
    ("sqlite", "target", "prefix-glued", "the same without a separator"),
    ("sqlite", "target", "quoted", "json.dumps of a str"),
    ("sqlite", "target", "bytes-repr", "str() of bytes"),
    ("mariadb", "target", "glued-behind-foreign", "an append in place of an update"),
    ("sqlite", "target", "trailing-garbage", "a buffer was written beyond its end"),
    ("sqlite", "target", "percent-in-full", "a form's body was stored"),
    ("postgresql mariadb", "target", "year-71000", "a service counted milliseconds"),
    ("sqlite", "target", "year-1970", "a device without a clock"),
    ("sqlite", "target", "year-2500", "a clock that was set wrong"),
    ("sqlite postgresql", "target", "large-1m-middle", "a document with a token went into the column"),
    ("postgresql", "target-bytea", "ascii", "a bytea column as a target"),
    ("postgresql", "target-bytea", "utf-16-le", "a .NET service writes UTF-16 into it"),
    ("postgresql", "target-bytea", "decoded", "a Go service writes the decoded bytes"),
    ("postgresql", "target-partition", "bare", "one partition of the target is in an archive's schema"),
    ("postgresql", "target-child", "bare", "a child table of the target, in another schema"),
    ("postgresql", "target-row-security", "bare", "a policy hides rows of the target from the nightly user"),
    ("mariadb", "target-history", "bare", "the history of a target still holds what was rotated"),
    ("sqlite", "target-null-key", "bare", "SQLite lets a text key be NULL"),
    ("sqlite", "target-null-key", "json-value", "the same, inside text"),
    # Forms that are not looked for, in a target.
    *(
        ("sqlite", place, form, "nobody can say what is in it: a person has to look")
        for place in ("target", "target-embedded", "target-base64", "target-hex", "left-out-embedded")
        for form in NOT_LOOKED_FOR
    ),
    # What stock Fernet drops, and so opens, up to cryptography 50.
    ("sqlite", "table", "comma-inside", "a number format ran over the column"),
    ("sqlite", "table", "quote-inside", "an import that doubled its quotes"),
    ("sqlite", "table", "pipe-inside", "a table's border was pasted along"),
    ("sqlite mariadb", "table", "no-break-space-inside", "pasted from a web page"),
    ("sqlite postgresql", "table", "soft-hyphen-inside", "pasted from a mail"),
    ("sqlite", "table", "zero-width-space-inside", "a wiki breaks long words so"),
    ("sqlite", "table", "line-separator-inside", "a JavaScript editor's line break"),
    ("sqlite", "target", "no-break-space-inside", "pasted from a web page"),
    ("sqlite", "target-embedded", "comma-inside", "the same in a column of documents"),
    ("sqlite postgresql", "table", "json-buffer", "a Node.js service stores a Buffer as JSON"),
    # Rows that a `where` leaves out.
    (ALL, "left-out", "bare", "soft-deleted rows"),
    (ALL, "left-out-by-null", "bare", "a comparison with NULL is neither true nor false"),
    (ALL, "left-out", "nested", "as thoroughly as the rows that it names"),
    ("sqlite postgresql", "left-out", "nested-in-json", "the same"),
    ("sqlite postgresql", "left-out", "hex", "the same"),
    (ALL, "left-out", "json-value", "the same"),
    ("sqlite mariadb", "left-out", "base64", "the same"),
    ("postgresql", "left-out", "wrapped-64-lf", "the same"),
    ("sqlite", "left-out", "standard", "the same"),
    ("sqlite", "left-out", "large-1m-last", "the same"),
    ("sqlite", "left-out", "year-71000", "the same"),
    ("sqlite", "left-out", "bound-to-a-named-context", "the same"),
    # Other columns and tables.
    (ALL, "other-column", "bare", "a second credential was added to the table last year"),
    (ALL, "other-column", "json-value", "extra settings of the same row"),
    ("sqlite", "note-column", "header", "support pasted a request into the notes"),
    (ALL, "row-key", "bare", "a session table whose key is the token"),
    (ALL, "no-key", "bare", "a log table without a primary key"),
    (ALL, "no-key", "json-value", "the same, with documents"),
    ("sqlite", "null-key", "bare", "SQLite lets a text key be NULL"),
    (ALL, "among-many-rows", "bare", "one of 15,000 rows: no sample finds it"),
    ("sqlite", "among-many-rows", "json-value", "the same, inside text"),
    (ALL, "table", "bare", "a table of another team"),
    ("postgresql mariadb", "table", "long-bare", "a certificate with its key, encrypted"),
    ("sqlite postgresql", "table", "nested", "another team's wrapper encrypts again"),
    ("sqlite mariadb", "table", "nested-in-json", "the same, as a document"),
    ("sqlite postgresql", "table", "standard", "a Java service"),
    ("postgresql", "table", "standard-no-padding", "the same without padding"),
    ("postgresql", "table", "standard-wrapped", "a MIME library"),
    ("postgresql mariadb", "table", "wrapped-64-lf", "openssl"),
    ("sqlite", "table", "wrapped-76-crlf", "a Windows MIME library"),
    ("mariadb", "table", "no-padding", "a URL library"),
    ("sqlite", "table", "blank-inside", "a terminal"),
    ("sqlite", "table", "padded-with-blanks", "a fixed-width import"),
    ("sqlite", "table", "byte-order-mark", "a spreadsheet's export"),
    ("postgresql", "table", "glued-behind-foreign", "two applications append to one field"),
    ("sqlite", "table", "glued-before-foreign", "the same in the other order"),
    ("sqlite", "table", "trailing-garbage", "a buffer beyond its end"),
    ("sqlite", "table", "quoted", "json.dumps of a str"),
    ("postgresql", "table", "bytes-repr", "str() of bytes"),
    ("sqlite", "table", "year-1970", "a device without a clock"),
    ("postgresql", "table", "year-71000", "milliseconds"),
    ("sqlite postgresql", "table", "bound-to-a-named-context", "a copy of a bound column, made before a migration"),
    ("sqlite", "table", "bound-to-another-context", "a context for each tenant, and none in rotation.toml"),
    (ALL, "table", "hex", "a migration's HEX()"),
    ("sqlite", "table", "hex-upper", "the same in capitals"),
    ("postgresql", "table", "hex-bytea", "the text of a bytea"),
    ("sqlite", "table", "hex-0x", "a literal of a dump"),
    ("sqlite", "table", "hex-of-decoded", "hex of the bytes"),
    (ALL, "table", "base64", "encoded once more"),
    ("sqlite", "table", "base64-no-padding", "the same without padding"),
    ("postgresql", "table", "base64-twice", "the same twice"),
    (ALL, "table", "json-value", "settings as JSON"),
    ("sqlite", "table", "json-list", "a list of tokens"),
    ("sqlite", "table", "json-key", "a cache by token"),
    ("postgresql mariadb", "table", "json-twice", "an event in a queue's table holds JSON as a string"),
    ("sqlite", "table", "json-thrice", "the same, forwarded"),
    (ALL, "table", "json-gson", "Gson escapes the padding"),
    ("mariadb", "table", "json-php-slashes", "PHP escapes slashes"),
    ("sqlite", "table", "json-escaped", "an encoder that escapes every character"),
    ("postgresql", "table", "json-base64", "a Kubernetes secret"),
    ("sqlite", "table", "json-hex", "a chain's payload"),
    ("postgresql mariadb", "table", "url-query", "a callback's address in a log"),
    ("sqlite", "table", "percent-in-full", "an encoder that escapes every character"),
    ("sqlite", "table", "percent-twice", "an address inside an address"),
    ("postgresql mariadb", "table", "prefix-enc", "a marker before the token"),
    ("sqlite", "table", "prefix-url", "the same as a url"),
    ("postgresql", "table", "prefix-glued", "the same without a separator"),
    ("sqlite", "table", "yaml", "a configuration in a column"),
    ("postgresql", "table", "yaml-block", "the same, folded"),
    ("sqlite", "table", "csv", "an import's raw line"),
    ("sqlite", "table", "dotenv", "an environment file in a column"),
    ("sqlite", "table", "xml", "a SOAP message"),
    ("sqlite", "table", "xml-entities", "the same with entities"),
    ("sqlite", "table", "html-entities-hex", "a stored form"),
    ("postgresql", "table", "cookie", "a session's header"),
    ("sqlite", "table", "header", "a recorded request"),
    ("sqlite", "table", "basic-auth", "the same with Basic"),
    ("sqlite", "table", "sql-dump", "a backup inside the database"),
    ("postgresql", "table", "python-repr", "a log line"),
    ("mariadb", "table", "php-serialized", "WordPress options"),
    ("postgresql", "table", "quoted-printable", "a stored mail"),
    ("sqlite", "table", "base64-of-json-0", "a JWT's payload; the token at each of three alignments"),
    ("mariadb", "table", "base64-of-json-1", "the same"),
    ("postgresql", "table", "base64-of-json-2", "the same"),
    ("sqlite", "table", "base64url-of-json", "the same in the other alphabet"),
    ("postgresql", "table", "base64-wrapped", "a mail's attachment"),
    ("sqlite", "table", "base64-of-large-json", "a large attachment"),
    # Blind indexes: without the key nobody finds a row by its value.
    (ALL, "table", "blind-index", "a second table is looked up by the same value"),
    ("sqlite postgresql mariadb", "other-column", "blind-index", "the column is TEXT, so nothing tells it from others"),
    ("sqlite", "row-key", "blind-index", "a table of what was seen already"),
    ("sqlite", "among-many-rows", "blind-index", "the column was added last year, and old rows have none"),
    ("sqlite", "untyped-blob", "blind-index", "as bytes"),
    ("postgresql mariadb", "char", "blind-index", "padded with blanks"),
    ("mariadb", "utf-16", "blind-index", "two bytes a character"),
    ("postgresql mariadb", "database", "blind-index", "another database of the server"),
    # Large cells.
    ("sqlite", "table", "large-100k-first", "a document"),
    ("mariadb", "table", "large-100k-middle", "a document"),
    ("postgresql mariadb", "table", "large-100k-last", "a document"),
    ("sqlite", "table", "large-1m-first", "a larger one"),
    (ALL, "table", "large-1m-middle", "a larger one"),
    ("postgresql", "table", "large-1m-last", "a larger one"),
    ("mariadb", "table", "large-5m-middle", "an upload"),
    ("postgresql", "table", "large-5m-last", "an upload"),
    (ALL, "table", "across-64-kib", "a piece ends inside the token"),
    ("sqlite", "table", "across-128-kib", "the same, three bytes behind the mark's beginning"),
    (ALL, "table", "across-1-mib", "the same"),
    ("postgresql", "table", "across-64-kib-of-bytes", "characters and bytes differ"),
    (ALL, "table", "behind-the-mark", "the first mark of the cell is no token"),
    (ALL, "table", "behind-a-foreign-token", "the first token of the cell is another application's"),
    ("postgresql", "table", "behind-many-foreign-tokens", "the same, three thousand times"),
    ("sqlite", "other-column", "large-1m-last", "beside a target"),
    # Bytes.
    (ALL, "blob", "ascii", "bytes of a driver"),
    ("mariadb", "blob", "json-bytes", "JSON in bytes"),
    ("postgresql mariadb", "blob", "zero-padded", "a fixed-size buffer"),
    (ALL, "blob", "utf-16-le", "a .NET service"),
    ("sqlite", "blob", "utf-16-be", "a Java service"),
    ("sqlite", "blob", "utf-16-json", "a document with a byte order mark"),
    ("sqlite", "blob", "utf-32-le", "wchar_t of Linux"),
    (ALL, "blob", "decoded", "a Go service stores the bytes"),
    ("postgresql", "blob", "decoded-with-header", "the same with a length before"),
    (ALL, "blob", "pickle", "a task queue"),
    ("sqlite", "blob", "pickle-of-bytes", "a session"),
    ("postgresql", "blob", "msgpack", "a cache"),
    ("sqlite", "blob", "protobuf", "a message"),
    ("postgresql", "blob", "latin-1-around", "a log in an old encoding"),
    ("sqlite", "blob", "zeros-around", "a page of another format"),
    ("sqlite", "blob", "nested", "bytes of a token in a token"),
    ("sqlite postgresql", "blob", "hex", "hex in bytes"),
    ("sqlite", "blob", "base64-of-json-1", "base64 in bytes"),
    ("sqlite", "blob", "behind-a-foreign-token", "a large one"),
    # SQLite's own.
    ("sqlite", "integer-column", "bare", "a declared type binds nobody"),
    ("sqlite", "numeric-column", "json-value", "the same"),
    ("sqlite", "boolean-column", "bare", "the same"),
    ("sqlite", "date-column", "bare", "the same"),
    ("sqlite", "json-column", "json-value", "a JSON column"),
    ("sqlite", "untyped-column", "bare", "no declared type"),
    ("sqlite", "untyped-blob", "ascii", "the same with bytes"),
    ("sqlite", "real-blob", "pickle", "bytes in a column of numbers"),
    ("sqlite", "strict-any", "bare", "a STRICT table's ANY"),
    ("sqlite", "strict-blob", "ascii", "a STRICT table"),
    ("sqlite", "without-rowid", "bare", "WITHOUT ROWID and two key columns"),
    ("sqlite", "own-rowid", "bare", "an own column called rowid, with NULL and repeated values"),
    ("sqlite", "own-oid", "bare", "the same, called oid"),
    ("sqlite", "own-three-names", "bare", "all three names taken: no row can be named"),
    ("sqlite", "in-own-rowid", "bare", "such a column holds the token itself"),
    ("sqlite", "fts5", "bare", "a search index"),
    ("sqlite", "fts5", "json-value", "the same, inside text"),
    ("sqlite", "rtree-auxiliary", "bare", "a spatial index with a column of its own"),
    ("sqlite", "not-utf-8", "bare", "text that no decoder takes"),
    ("sqlite", "after-zero-byte", "bare", "SQLite's functions on text end at a zero byte"),
    ("sqlite mariadb", "generated-virtual", "bare", "halves that a generated column joins"),
    ("sqlite mariadb", "generated-stored", "bare", "the same, stored"),
    ("sqlite", "expression-index", "bare", "an index on an expression"),
    ("sqlite", "audit-trigger", "bare", "a trigger keeps what was there"),
    ("sqlite", "wal", "bare", "the write-ahead log"),
    ("sqlite", "named-sqlitefoo", "bare", "LIKE 'sqlite_%' takes it for SQLite's own"),
    ("sqlite", "named-alembic", "bare", "a migration tool's table"),
    ("sqlite", "named-quotes", "bare", "an odd name"),
    ("sqlite", "named-percent", "bare", "a name with a driver's placeholder in it"),
    ("sqlite postgresql mariadb", "named-colon", "bare", "the same of SQLAlchemy's"),
    ("sqlite", "named-newline", "bare", "an odd name"),
    (ALL, "named-reserved", "bare", "a reserved word"),
    (ALL, "named-non-ascii", "bare", "names of another alphabet"),
    ("sqlite", "named-long", "bare", "200 letters"),
    ("sqlite", "named-like-target", "bare", "the target's name and a blank"),
    ("sqlite", "many-columns", "bare", "the last of 1,500 columns"),
    ("sqlite", "negative-key", "bare", "a key below zero"),
    ("sqlite", "mixed-key-types", "bare", "keys of all types in one column"),
    # PostgreSQL's own.
    ("postgresql", "varchar", "bare", "varchar(n)"),
    ("postgresql mariadb", "char", "bare", "padded with blanks"),
    ("postgresql", "citext", "bare", "an extension's text"),
    ("postgresql", "citext", "json-value", "the same, inside text"),
    ("postgresql mariadb", "json", "json-value", "a JSON column"),
    ("postgresql", "json", "json-escaped", "json keeps escapes as they were written"),
    ("postgresql mariadb", "json", "json-gson", "the same of the padding alone"),
    ("postgresql", "jsonb", "json-twice", "JSON in a string of JSON"),
    ("postgresql", "jsonb-nested", "bare", "deep in a document"),
    ("postgresql", "jsonb-key", "bare", "the key of an object"),
    ("postgresql", "jsonb-bare", "bare", "a document that is a string"),
    ("postgresql", "jsonb-nested", "base64", "an encoded one"),
    ("postgresql", "jsonb-bare", "nested", "a token in a token"),
    ("postgresql", "xml", "xml", "an XML column"),
    ("postgresql", "xml", "xml-entities", "with entities"),
    ("postgresql", "hstore", "bare", "an extension's pairs"),
    ("postgresql", "text-array", "bare", "recovery codes"),
    ("postgresql", "text-array", "json-value", "documents in an array: quotes are escaped"),
    ("postgresql", "text-array", "nested", "a token in a token"),
    ("postgresql", "varchar-2d", "bare", "two dimensions"),
    ("postgresql", "array-from-zero", "bare", "an array with bounds of its own"),
    ("postgresql", "bytea-array", "ascii", "an array of bytes"),
    ("postgresql", "bytea-array", "decoded", "the same, decoded"),
    ("postgresql", "number-array", "ascii", "an array of its letters as numbers"),
    ("postgresql", "jsonb-array", "bare", "an array of documents"),
    ("postgresql", "json-array", "json-escaped", "the same, escaped"),
    ("postgresql", "composite", "bare", "a composite type"),
    ("postgresql", "composite", "json-value", "the same, inside text: quotes are doubled"),
    ("postgresql", "composite-bytea", "ascii", "a composite's bytes are hex in its text"),
    ("postgresql", "composite-array", "bare", "an array of composites"),
    ("postgresql", "composite-nested", "bare", "a composite in a composite, with an array"),
    ("postgresql", "row-type-of-table", "bare", "a table's own row type"),
    ("postgresql", "domain", "bare", "a domain over text"),
    ("postgresql", "domain-bytea", "ascii", "a domain over bytea"),
    ("postgresql", "domain-of-domain", "bare", "a domain over a domain"),
    ("postgresql", "domain-array", "bare", "a domain over an array"),
    ("postgresql", "array-of-domain", "bare", "an array of a domain"),
    ("postgresql", "text-range", "bare", "a range of text"),
    ("postgresql", "tsvector", "bare", "a lexeme of a search column"),
    ("postgresql", "generated", "bare", "halves that a generated column joins"),
    ("postgresql", "unlogged", "bare", "a cache"),
    ("postgresql", "materialized-view", "bare", "a view that was not refreshed since"),
    ("postgresql", "materialized-view", "json-value", "the same, inside text"),
    ("postgresql", "large-object", "ascii", "an upload as a large object"),
    ("postgresql", "foreign-file", "csv", "a file behind a foreign table"),
    ("postgresql", "foreign-server", "bare", "another server's table"),
    ("postgresql", "schema", "bare", "another schema"),
    ("postgresql", "schema", "json-value", "the same, inside text"),
    ("postgresql", "schema-same-name", "bare", "a copy of the target in a backup's schema"),
    ("postgresql", "schema-odd-name", "bare", "a schema with an odd name"),
    ("postgresql", "schema-pg-like", "bare", "LIKE 'pg_%' takes it for PostgreSQL's own"),
    ("postgresql mariadb", "upper-case-twin", "bare", "names that differ in case alone"),
    ("postgresql mariadb", "named-odd", "bare", "quotes, dots, blanks and placeholders"),
    ("postgresql", "named-63-letters", "bare", "the longest name"),
    ("postgresql", "named-like-ctid", "bare", "no key, and a column called Ctid"),
    ("postgresql", "partition-elsewhere", "bare", "a partition in another schema"),
    ("postgresql", "partition-default", "bare", "a default partition"),
    ("postgresql", "partition-levels", "bare", "partitions of a partition"),
    ("postgresql", "partition-detached", "bare", "a detached one"),
    ("postgresql", "child-own-column", "bare", "a child of the target with a column of its own, in another schema"),
    ("postgresql", "child-of-keyless", "bare", "a child with a column of its own"),
    ("postgresql", "database", "bare", "another database of the server"),
    ("postgresql mariadb", "database", "json-value", "the same, inside text"),
    ("postgresql", "database-schema", "bare", "a schema of another database"),
    ("postgresql mariadb", "database-same-table", "bare", "a restored copy of the database"),
    ("postgresql", "database-template", "bare", "a database that others are made from"),
    ("postgresql", "database-closed", "bare", "a database that takes no connection"),
    ("postgresql", "database-no-connect", "bare", "no privilege to connect"),
    ("postgresql", "no-select", "bare", "no privilege on the table"),
    ("postgresql", "no-select-on-column", "bare", "no privilege on the column"),
    ("postgresql", "no-select-on-target-column", "bare", "the same in the target's table"),
    ("postgresql", "no-usage", "bare", "no privilege on the schema"),
    ("postgresql", "row-security", "bare", "a policy hides every row"),
    ("postgresql", "no-select-on-materialized-view", "bare", "no privilege on a materialized view"),
    ("postgresql", "large-object-of-others", "ascii", "no privilege on large objects"),
    # MariaDB's own.
    ("mariadb", "database", "bare", "another database of the server"),
    ("mariadb", "enum", "bare", "a label in use"),
    ("mariadb", "set", "bare", "the same of a SET"),
    ("mariadb", "json", "json-twice", "a JSON column"),
    ("mariadb", "tinytext", "bare", "255 bytes are enough"),
    ("mariadb", "mediumtext", "json-value", "a text column"),
    ("mariadb", "varbinary", "ascii", "bytes"),
    ("mariadb", "varbinary", "decoded", "decoded bytes"),
    ("mariadb", "binary", "ascii", "padded with zeros"),
    ("mariadb", "tinyblob", "ascii", "bytes"),
    ("mariadb", "mediumblob", "pickle", "a task queue"),
    ("mariadb", "invisible", "bare", "SELECT * does not show it"),
    ("mariadb", "generated-invisible", "bare", "the same, generated"),
    ("mariadb", "history", "bare", "the history of a deleted row"),
    ("mariadb", "history-updated", "json-value", "the history of a row that was updated"),
    ("mariadb", "partitioned", "bare", "the last partition"),
    ("mariadb", "compressed-column", "bare", "a compressed column"),
    ("mariadb", "compressed-blob", "pickle", "the same of bytes"),
    ("mariadb", "myisam", "bare", "an engine without transactions"),
    ("mariadb", "aria", "bare", "the same"),
    ("mariadb", "memory", "bare", "a cache"),
    ("mariadb", "csv-engine", "bare", "a table in a file"),
    ("mariadb", "upper-case", "bare", "an upper-case name"),
    ("mariadb", "named-64-letters", "bare", "the longest name"),
    ("mariadb", "latin-1", "bare", "an old table"),
    ("mariadb", "latin-1", "json-value", "the same, inside text"),
    ("mariadb", "utf-16", "bare", "two bytes a character"),
    ("mariadb", "utf-16", "json-value", "the same, inside text"),
    ("mariadb", "utf-16-le", "bare", "the same in the other order"),
    ("mariadb", "ucs-2", "bare", "the same, older"),
    ("mariadb", "utf-32", "bare", "four bytes a character"),
    ("mariadb", "gbk", "bare", "another alphabet"),
    ("mariadb", "blob-of-utf-16", "bare", "bytes of UTF-16 in a blob"),
    ("mariadb", "dynamic-columns", "bare", "dynamic columns"),
    ("mariadb", "dynamic-columns", "json-value", "the same, inside text"),
    ("mariadb", "database-history", "bare", "the history of another database's table"),
    ("mariadb", "database-no-grant", "bare", "a database without a grant is invisible"),
    ("mariadb", "no-grant", "bare", "a table without a grant is invisible"),
    ("mariadb", "column-grant", "bare", "a column without a grant is invisible"),
    ("mariadb", "insert-grant", "bare", "a grant to write and none to read"),
)

_ALL_ROWS = tuple(Row(kind, where, dress, why) for kinds, where, dress, why in _HIDES for kind in kinds.split())

FIRST = frozenset({(row.kind, row.where): row for row in reversed(_ALL_ROWS)}.values())
"""The first row of each place: enough for checks in which the form makes no difference."""

FIRST_OF_ALL = frozenset({row.where: row for row in reversed(_ALL_ROWS)}.values())
"""The same on one database: what is said of a place does not depend on the kind."""

_ONCE = frozenset({(row.where, row.dress): row for row in reversed(_ALL_ROWS)}.values())
ROWS = tuple(row for row in _ALL_ROWS if row in FIRST or row in _ONCE)
"""Each place on each database, and each form of a place once, to limit the time of the suite."""

_SHORT = (
    "target left-out other-column row-key no-key table blob database schema large-object jsonb-nested no-select"
    " target-row-security target-embedded history no-grant fts5 untyped-blob"
)
SHORT = frozenset(row for row in FIRST if row.where in _SHORT.split())
"""What a run without `--long` tries: each way of looking for tokens once, on each database."""


def _harmless(kind: str, where: str, dresses: Iterable[str]) -> tuple[Row, ...]:
    return tuple(Row(kind, where, dress, "under a key that is not of this keyring") for dress in dresses)


_IN_BYTES = ("pickle", "msgpack", "protobuf", "latin-1-around", "zeros-around", "json-bytes")
HARMLESS = (
    _harmless("sqlite", "table", IN_TEXT),
    _harmless("sqlite", "blob", _IN_BYTES),
    *(_harmless(kind, "table", ("json-value", "url-query")) for kind in ("postgresql", "mariadb")),
    *(_harmless(kind, "blob", ("pickle", "json-bytes")) for kind in ("postgresql", "mariadb")),
)
"""The same under a foreign key, inside text or bytes: no such token keeps a key. One table holds all of a tuple."""

_UNLIKE = ("audit-trigger", "database-closed", "note-column")
_QUIET = [
    Row(kind, where, "bare", "nothing is hidden there")
    for kind, places in PLACES.items()
    for where, place in places.items()
    if not (place.covered or place.role or where in _UNLIKE or where.startswith("named-"))
]
CALM = tuple({row.where: row for row in reversed(_QUIET)}.values())
"""Places for a value without any token, each kind of place once."""
