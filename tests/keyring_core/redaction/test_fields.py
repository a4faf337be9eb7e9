"""Fields: what is masked in a rendered line ends with its value, so that the line stays whole."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
import structlog
from pythonjsonlogger.json import JsonFormatter
from structlog.dev import ConsoleRenderer
from structlog.processors import JSONRenderer, KeyValueRenderer, LogfmtRenderer
from structlog.stdlib import ProcessorFormatter, add_log_level, add_logger_name

from keyring_core.redaction import RedactingFormatter, Redactor, configure_logging
from keyring_core.redaction.guarded_streams import GuardedStream
from tests.conftest import Named
from tests.databases import Database

SECRET = "hunter2xQ"
# Texts whose secret, here §, has no end of its own, or an end that others can take the place of.
OPEN = [
    "[raw sql] ('§', 1)",
    '[raw sql] ("§\'s", 1)',
    "[raw sql] (1, None, datetime.date(2026, 1, 2))",
    "[raw sql] ()",
    "[generated in 0.00012s] [('it\\'s \"§', 1), (\"a)'\", '\\\\')]",
    "[generated in 0.00012s] ('a\\'), \"§', 1)",
    "[cached since 0.1s ago] {'name': '§]', 'id': 1}",
    "[caching disabled (no key) 0.1s ] [('§',)  ... displaying 10 of 20 total bound parameter sets ...  ('b',)]",
    "[no key 0.00018s] ('§', '['",
    "[insertmanyvalues 1/2 (ordered; batch not supported)] ('§', [1, ['x', {'a': (1,)}]])",
    "[dialect a+b does not support caching 0.1s] (['§ ... (9 characters truncated) ... \", 'b'], 'c')",
    "[raw sql] ('a', ... (9 characters truncated) ... b', ')', '§')",
    "[parameters: ('§', \"it's\"",
    "[parameters: ('a]', '§')]",
    "failing row contains (1, §",
    "conflicts with existing key (a)=(§",
    "Duplicate entry '§",
    "Key (a)=(§) already exists",
    "Key (a)=(",
    "-----BEGIN PRIVATE KEY-----\\nMIIE§",
    '-----BEGIN RSA PRIVATE KEY-----\\nMIIE§"',
    "-----BEGIN PRIVATE KEY-----\\nMIIE§\\",
    "CREATE USER u IDENTIFIED BY '§",
    'CREATE USER u IDENTIFIED BY "§',
    "ALTER USER u PASSWORD '§'",
    "password: '§",
    'password="§',
    "secret = '§ it\\'s",
    "login --password '§",
    "it calls setPassword('§",
    "<password>§</password>",
    "<password>",
    "password: [",
    "map[Password:[a",
    "Pwd={a",
    "Cookie: a=§",
    "Authorization: Digest username=bob, response=§",
    "Authorization: Digest username=",
    "Authorization: Bearer §",
    "https://app:§@db/x",
    "https://app:",
    "mysql -p§",
    "redis-cli -a '§",
    "curl -u bob:§",
    "curl -u bob:",
]
# What gives a secret away, at the end of a value. In text without quotes, what follows is the secret.
NAMES = [
    "the password:",
    "token = ",
    "password is",
    'the "password',
    "login --password",
    "redis-cli -a",
    "mysql -p",
    "PASSWORD '",
    "[parameters: ",
    "[parameters:  ",
    "conflicts with existing key (",
    "Duplicate entry '",
]
FIELDS = {"first": "before", "last": "behind it's"}


class Written(io.StringIO):
    """A stream that keeps what was written for each record."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []

    def write(self, text: str) -> int:
        """Keeps *text*."""
        self.records.append(text)
        return len(text)


class Kind(NamedTuple):
    """How records are rendered, and what *read* finds in a line of that kind: its fields, as far as they are whole."""

    render: Any
    read: Callable[[str], dict[str, Any]]

    @property
    def formatter(self) -> logging.Formatter:
        """For a handler of the stdlib."""
        if isinstance(self.render, logging.Formatter):
            return self.render
        chain = [add_logger_name, add_log_level, structlog.stdlib.ExtraAdder(), structlog.processors.TimeStamper("iso")]
        return ProcessorFormatter(
            processors=[ProcessorFormatter.remove_processors_meta, self.render], foreign_pre_chain=chain
        )


def in_json(line: str) -> dict[str, Any]:
    """The fields of a line of JSON."""
    return dict(json.loads(line))


def in_text(line: str) -> dict[str, Any]:
    """The fields that can be seen in a line of text."""
    found = {
        "first": re.search(r"first=(['\"]?)(?P<value>before)\1(?= )", line),
        "last": re.search(r"last=(['\"]?)(?P<value>behind it's)\1(?=[ \n])", line),
        "logger": re.search(
            r"(?:logger='?|\[|INFO |DEBUG )(?P<value>app|sqlalchemy\.engine\.Engine)(?=['\] \n])", line
        ),
        "level": re.search(r"(?:level='?|\[|^\S+ \S+ )(?P<value>info|debug|INFO|DEBUG)(?=['\] \n])", line),
        "timestamp": re.search(r"(?:timestamp='?|^)(?P<value>20\d\d-\d\d-\d\d[ T][\d:,.]+)", line),
    }
    return {name: match["value"] for name, match in found.items() if match}


PLAIN = "%(asctime)s %(levelname)s %(name)s first=%(first)s %(message)s text=%(text)s last=%(last)s"
KINDS = {
    "json": Kind("json", in_json),
    "console": Kind("console", in_text),
    "structlog json": Kind(JSONRenderer(), in_json),
    "structlog console": Kind(ConsoleRenderer(colors=False), in_text),
    "key value": Kind(KeyValueRenderer(), in_text),
    "logfmt": Kind(LogfmtRenderer(), in_text),
    "json logger": Kind(
        JsonFormatter(
            "%(message)s %(levelname)s %(name)s %(asctime)s",
            rename_fields={"message": "event", "levelname": "level", "name": "logger", "asctime": "timestamp"},
        ),
        in_json,
    ),
    "plain": Kind(logging.Formatter(PLAIN, defaults={**FIELDS, "text": ""}), in_text),
    "redacting": Kind(RedactingFormatter(PLAIN, defaults={**FIELDS, "text": ""}), in_text),
}
RENDERERS, FORMATTERS = list(KINDS)[:6], list(KINDS)[2:8]
CHAINS = [(channel, kind) for channel in ("structlog", "logging") for kind in RENDERERS]
HANDLERS = [("handler", kind) for kind in FORMATTERS] + [("alone", "redacting")]
GUARDS = [("guard", kind) for kind in FORMATTERS]


@contextmanager
def written(channel: str, kind: Kind, logger: str) -> Iterator[list[str]]:
    """What is written for each record of *logger* through *channel*."""
    out, log = Written(), logging.getLogger(logger)
    handler: logging.Handler = logging.NullHandler()
    if channel in ("structlog", "logging"):
        configure_logging(stream=out, renderer=kind.render)
    else:
        if channel == "handler":
            configure_logging(stream=io.StringIO())
        handler = logging.StreamHandler(GuardedStream(out, Redactor()) if channel == "guard" else out)
        handler.setFormatter(kind.formatter)
    log.addHandler(handler)
    log.setLevel(logging.DEBUG)
    logging.getLogger().setLevel(logging.DEBUG)
    try:
        yield out.records
    finally:
        log.removeHandler(handler)
        log.setLevel(logging.NOTSET)


def placed(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """*text* as the event, as the first field, and between two others."""
    yield text, FIELDS
    yield "event", {"text": text, **FIELDS}
    yield "event", {"first": FIELDS["first"], "text": text, "last": FIELDS["last"]}


@pytest.mark.some(12)
@pytest.mark.parametrize(("channel", "kind"), [*CHAINS, *HANDLERS, *GUARDS[:-1]])
def test_nothing_is_masked_beyond_its_value(channel: str, kind: str, named: Named) -> None:
    """A secret without an end is masked to the end of its value: no other field of the line changes."""
    how = KINDS[kind]
    expected = {**FIELDS, "logger": "app", "level": "info"}
    with written(channel, how, "app") as records:
        for text in [*OPEN, *(NAMES if kind not in ("plain", "redacting") else [])]:
            for event, fields in placed(text.replace("§", SECRET)):
                with named(text, event, repr(fields)):
                    if channel == "structlog":
                        structlog.get_logger("app").info(event, **fields)
                    else:
                        logging.getLogger("app").info(event, extra=fields)

                    line = records.pop()
                    shown = how.read(line)
                    assert {name: str(shown.get(name)).replace("INFO", "info") for name in expected} == expected
                    assert "timestamp" in shown
                    assert SECRET not in line
                    assert ("[REDACTED:" in line) == ("§" in text)
                    assert not records


def test_an_option_takes_no_comma() -> None:
    """Behind an option, the quote that closes its text opens no value."""
    line = '{"commands":["mysql -p","ls"],"run":["redis-cli","-a","hunter2x"]}'

    assert Redactor().redact(line) == line.replace("hunter2x", "[REDACTED:password]")


def test_a_field_hides_nothing_of_the_next() -> None:
    """What is cut off in one field ends there: the secrets of the fields behind it are found."""
    fields = {"event": "[raw sql] ('a'", "b": "[raw sql] ('hunter2x',)", "c": "secret='x", "password": "hunter3x"}

    shown = json.loads(Redactor().redact(json.dumps(fields)))

    assert shown == {
        "event": "[raw sql] [REDACTED:parameters]",
        "b": "[raw sql] [REDACTED:parameters]",
        "c": "secret='[REDACTED:secret]",
        "password": "[REDACTED:password]",
    }


@pytest.mark.parametrize(
    "text",
    [
        "error=\"it's [raw sql] ('a\" b', 'hunter2x')\"",
        '{"error": "it\'s [raw sql] (\'a", \'hunter2x\')"}',
        "[parameters: ('a\", \"b\": \"', 'hunter2x')]",
        "5\" disk, [raw sql] ('\" ', 'hunter2x')",
        "note: 'it's [no key 0.1s] (\"' ,\", 'hunter2x')",
    ],
)
def test_a_quote_that_nobody_escaped_ends_no_value(text: str) -> None:
    """A value of a parameter cannot end the mask of the others."""
    assert "hunter2x" not in Redactor().redact(text)


VALUES = [SECRET, f'it\'s "{SECRET}")]}}\n\\', f"{SECRET}\\", f"\\'\"), {SECRET}" * 40, f"', {SECRET}", f"[({{{SECRET}"]
STATISTICS = re.compile(
    r"(\[(?:raw sql|generated in|cached since|no key|caching disabled|insertmanyvalues)[^\]]*\]) (.+)"
)


def statements(engine: sa.Engine) -> None:
    """Statements with all that SQLAlchemy says about parameters."""
    table = sa.Table(
        "things",
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("number", sa.Integer),
        sa.Column("name", sa.String(4000)),
    )
    rows = [{"number": number, "name": VALUES[number % len(VALUES)]} for number in range(30)]
    with engine.begin() as connection:
        table.create(connection)
        for row in rows[: len(VALUES)]:
            connection.execute(sa.insert(table), row)
        connection.execute(sa.insert(table), rows[:2])
        connection.execute(sa.insert(table), rows)
        connection.execute(sa.insert(table).returning(table.c.id), rows[: len(VALUES)]).all()
        connection.execute(sa.insert(table).values(rows[:1]))
        connection.execute(sa.select(table).where(table.c.number == 1)).all()
        connection.execute(sa.select(table).where(table.c.name == SECRET)).all()
        uncached = connection.execution_options(compiled_cache=None)
        uncached.execute(sa.select(table).where(table.c.name == SECRET)).all()
        connection.exec_driver_sql("SELECT 1").all()


@pytest.mark.some(3)
@pytest.mark.database
@pytest.mark.parametrize(("channel", "kind"), [*CHAINS[6:], *HANDLERS, *GUARDS])
def test_an_engines_lines_stay_whole(channel: str, kind: str, database: Database) -> None:
    """Of what an engine logs, only parameters are masked, and only if there is text among them."""
    how, said = KINDS[kind], []
    logger = logging.getLogger("sqlalchemy.engine.Engine")
    listener = logging.Handler()
    listener.emit = lambda record: said.append(  # type: ignore[method-assign]
        (record.levelname, record.msg % record.args if record.args else record.msg)
    )
    logger.addHandler(listener)
    try:
        with written(channel, how, logger.name) as records:
            statements(database.engine)
    finally:
        logger.removeHandler(listener)

    assert len(records) == len(said)
    assert sum("[REDACTED:parameters]" in line for line in records) > 10
    for line, (level, raw) in zip(records, said, strict=True):
        expected = STATISTICS.sub(lambda found: f"{found[1]} {masked(found[2])}", raw)
        shown = how.read(line)
        assert (shown["logger"], shown["level"].upper()) == (logger.name, level)
        assert "timestamp" in shown
        if how.read is in_json:
            assert shown["event"] == expected
        elif STATISTICS.match(raw):
            assert f"{without_quotes(expected)}" in without_quotes(line)


def masked(parameters: str) -> str:
    """How *parameters* are shown."""
    return "[REDACTED:parameters]" if SECRET in parameters else parameters


def without_quotes(text: str) -> str:
    """*text* without what each renderer escapes in its own way."""
    return re.sub(r"[\"'\\]", "", text)
