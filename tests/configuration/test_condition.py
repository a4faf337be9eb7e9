"""A condition in `where` stays within its parentheses, as each database reads it."""

from __future__ import annotations

import random

import pytest
import sqlalchemy as sa

from rotation.configuration.targets import fault_of
from tests.conftest import Cli, Named
from tests.databases import Database
from tests.fakes import token

ALL = ("sqlite", "postgresql", "mariadb")
CLOSES, OPEN = "closes a parenthesis that is not open", "opens a parenthesis that is never closed"
ENDLESS, COMMENT, STATEMENT = "has no end", "begins a comment", "ends the statement"

GOOD = {
    "plain": ("id > 10 AND (note = 'x' OR note IS NULL)", ALL),
    "subquery": ("id IN (SELECT id FROM other WHERE (a, b) = (1, 2))", ALL),
    "parentheses in a text": ("note = ':-) OR (1=1' AND note <> ')'", ALL),
    "semicolon and comments in a text": ("note = '; -- /* # */'", ALL),
    "doubled quote": ("note = 'it''s) OR (1=1'", ALL),
    "empty text": ("note = '' OR (note = '')", ALL),
    "name in double quotes": ('"a)b""(c" = 1', ALL),
    "name in backticks": ("`a)b``(c` = 1", ("sqlite", "mariadb")),
    "name in brackets": ("[a)b] = 1 AND [c(d] = 2", ("sqlite",)),
    "array": ("tags[1] = 'x' AND (tags)[2] = 'y'", ("postgresql",)),
    "JSON": ("data->>'a)' = 'b' AND data #>> '{a,b}' = 'c' AND data @> '{\"(\": 1}'", ("postgresql",)),
    "escapes": (r"note = 'it\'s' OR note = 'a\\' OR note = '(\\'", ("mariadb",)),
    "text in double quotes": (r"""note = "it's \" (" OR note = ':-)'""", ("mariadb",)),
    "E text": (r"note = E'it\'s) OR (1=1' OR note = e'\\'", ("postgresql",)),
    "E text in two lines": ("note = E'a'\n  '\\') OR (1=1'", ("postgresql",)),
    "backslash that is none": (r"note = 'C:\' OR note = 'D:\'", ("sqlite", "postgresql")),
    "dollar quotes": ("note = $$) OR (1=1$$ AND note <> $a$ $$ ) $a$", ("postgresql",)),
    "dollars in a name": ("a$b$c = 1 AND (b$a$ = 2)", ("postgresql",)),
    "name that ends in e": (r"type'\' IS NULL", ("postgresql",)),
    "unicode text": ("U&'d\\0061t\\+000061)' = note", ("postgresql",)),
}
BAD = {
    "escape": ("1=1) OR (1=1", 4, CLOSES, ALL),
    "behind a text": ("note = 'a''b') OR (1=1", 14, CLOSES, ALL),
    "never closed": ("id IN (1, 2", 7, OPEN, ALL),
    "text without an end": ("note = 'a", 8, ENDLESS, ALL),
    "text with an odd quote": ("note = 'a'' OR (1=1", 8, ENDLESS, ALL),
    "name without an end": ('id = 1 AND "a', 12, ENDLESS, ALL),
    "backtick without an end": ("id = 1 AND `a", 12, ENDLESS, ("sqlite", "mariadb")),
    "bracket without an end": ("id = 1 AND [a)", 12, ENDLESS, ("sqlite",)),
    "dollars without an end": ("note = $a$ ) $b$", 8, ENDLESS, ("postgresql",)),
    "comment": ("1=1 -- )", 5, COMMENT, ALL),
    "comment at once": ("1=1--", 4, COMMENT, ALL),
    "long comment": ("1=1 /* ) OR (1=1 */", 5, COMMENT, ALL),
    "comment of MariaDB's own": ("1=1 /*! ) OR (1=1 */", 5, COMMENT, ALL),
    "hash": ("1=1 # )", 5, COMMENT, ("mariadb",)),
    "semicolon": ("1=1; DELETE FROM creds", 4, STATEMENT, ALL),
    "escape behind an E text": (r"note = E'\') OR (1=1' ) OR (1=1", 23, CLOSES, ("postgresql",)),
    "escape behind a backslash": (r"note = '\') OR (1=1", 11, CLOSES, ("postgresql", "sqlite")),
    "escape behind dollars": ("note = $$a$$) OR (1=1", 13, CLOSES, ("postgresql",)),
    "escape if a backslash is itself": (r"note = '\') OR (1=1 OR note = '", 11, CLOSES, ("mariadb",)),
    "escape if it is not": (r"note = '\'' OR note = ') OR (1=1 OR note = '", 24, CLOSES, ("postgresql",)),
    "escape if it is a name": (r"""note = "\") OR (1=1 OR note = \"" """, 11, CLOSES, ("mariadb",)),
}
REFUSED = [
    (name, condition, position, words, kind)
    for name, (condition, position, words, kinds) in BAD.items()
    for kind in kinds
]


def test_a_condition_that_stays_inside_is_taken(named: Named) -> None:
    """Texts, names and comments-to-be hold what they like, in each database's own spelling."""
    cases = [(text, kind) for text, kinds in GOOD.values() for kind in kinds]

    for condition, kind in cases:
        with named(condition, kind):
            assert fault_of(condition, kind) is None


def test_a_condition_that_gets_out_is_refused(named: Named) -> None:
    """By the place in it and what stands there."""
    for name, condition, position, words, kind in REFUSED:
        with named(name, kind):
            fault = fault_of(condition, kind)

            assert fault
            assert fault.position == position
            assert words in fault.words


@pytest.mark.database
@pytest.mark.parametrize("condition", ["1=1) OR (1=1", "note = 'sk-live-4242", "1=1 -- sk-live-4242", "1=1; COMMIT"])
def test_a_refused_condition_reaches_no_server(cli: Cli, database: Database, condition: str) -> None:
    """Exit code 2 with target and place, whether the server is there or not; the condition is not shown."""
    database.make_creds([token("old")])
    before = database.column()
    nowhere = sa.make_url(database.url).set(port=None if database.kind == "sqlite" else 9, database="nowhere")
    for url in (database.url, nowhere.render_as_string(hide_password=False)):
        ran = cli("run", "--url", url, "--table", "creds", "--column", "token", "--where", condition)

        assert ran.code == 2
        assert "target creds: where, character " in ran.err
        assert "sk-live" not in ran.out + ran.err
    assert database.column() == before


@pytest.mark.database
def test_a_condition_with_parentheses_in_texts_chooses_its_rows(cli: Cli, database: Database) -> None:
    """On the real database, from the command line to the rotated cell."""
    database.make_creds([token("old")] * 3)
    database.execute("UPDATE creds SET note = ':-) -- it''s; (' WHERE id = 2")
    before = database.column()
    argv = ("run", "--url", database.url, "--table", "creds", "--column", "token")
    ran = cli(*argv, "--where", "(note = ':-) -- it''s; (' OR (id = 99))")

    assert ran.code == 0
    assert [key for key, cell in database.column().items() if cell != before[key]] == [2]


SETTINGS = {
    "sqlite": ("",),
    "postgresql": ("SET standard_conforming_strings = on", "SET standard_conforming_strings = off"),
    "mariadb": ("SET sql_mode = ''", "SET sql_mode = 'ANSI_QUOTES'", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'"),
}
PIECES = [*"'\"\\`[]()$ \n1€", "''", "\\'", "$$", "$a$", "E'", "N'", "U&'", " or ", " = ", "x", "'a'"]
FRAMES = (
    "{}) OR (1=1{}",
    "x = {}) OR (1=1 OR x = {}",
    "{} OR 1=1 {}",
    "x = 'a{}' OR x = 'b{}'",
    "x = '{}') OR (1=1 OR x = '{}'",
    "x = E'a'\n'{}) OR (1=1{}'",
    'x = "{}") OR (1=1 OR x = "{}"',
)


@pytest.mark.database
def test_what_gets_out_on_a_real_server_is_refused(database: Database) -> None:
    """Random conditions: each that makes a row appear which `1=0 AND (...)` leaves out is one that we refuse."""
    dice = random.Random(database.kind)
    escaped = 0
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE odd (x VARCHAR(50))")
        connection.exec_driver_sql("INSERT INTO odd VALUES ('q')")
        cursor = connection.connection.cursor()
        for setting in SETTINGS[database.kind]:
            if setting:
                cursor.execute(setting)
            for _ in range(1500):
                parts = ("".join(dice.choices(PIECES, k=dice.randint(0, 4))) for _ in range(2))
                condition = dice.choice(FRAMES).format(*parts)
                try:
                    cursor.execute(f"SELECT count(*) FROM odd WHERE 1=0 AND ({condition})")
                    rows = cursor.fetchone()[0]
                except database.engine.dialect.loaded_dbapi.Error:
                    continue
                escaped += rows
                assert not rows or fault_of(condition, database.kind), condition

    assert escaped > 20
