"""What a log call must not do: change its caller's objects, raise, hang, or recurse for ever."""

from __future__ import annotations

import io
import json
import logging
import time
import types
from collections import OrderedDict, namedtuple
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog

from keyring_core.redaction import Redactor, configure_logging
from keyring_core.redaction.configure import LogHandler
from tests.conftest import Named
from tests.keys import random_secret

pytestmark = pytest.mark.uncounted

SECRET = random_secret()
TIMES = 300
"""What a hostile text may cost, in those of plain words; one that is searched again and again costs thousands."""


class Service:
    """A configured service and what it logged."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.redactor = configure_logging(Redactor([SECRET]), stream=self.stream, renderer="json")
        self.log: Any = structlog.get_logger("svc")
        self.std = logging.getLogger("svc")

    @property
    def last(self) -> dict[str, Any]:
        event: dict[str, Any] = json.loads(self.stream.getvalue().splitlines()[-1])
        return event


@pytest.fixture
def service() -> Service:
    return Service()


def test_dicts_stay_as_they_are(service: Service) -> None:
    """The caller's dict still holds its password after it was logged."""
    request = {"headers": {"authorization": SECRET}, "users": [{"password": SECRET}]}

    service.log.info("event", request=request)

    assert request == {"headers": {"authorization": SECRET}, "users": [{"password": SECRET}]}


def test_exceptions_stay_as_they_are(service: Service) -> None:
    """The caller's exception keeps arguments, notes, cause, context and traceback."""
    cause = KeyError(SECRET)
    error = ValueError(SECRET)
    error.add_note(SECRET)
    try:
        raise error from cause
    except ValueError:
        traceback = error.__traceback__
        service.log.exception("failed")
        service.std.exception("failed")

    assert error.args == (SECRET,)
    assert error.__notes__ == [SECRET]
    assert error.__cause__ is cause
    assert error.__traceback__ is traceback


def test_bound_context_stays_as_it_is(service: Service) -> None:
    """A bound logger keeps its context."""
    log = service.log.bind(password=SECRET)

    log.info("event")

    assert structlog.get_context(log) == {"password": SECRET}


def test_context_variables_stay_as_they_are(service: Service) -> None:
    """The context variables of structlog keep their values."""
    with structlog.contextvars.bound_contextvars(password=SECRET):
        service.log.info("event")

        assert structlog.contextvars.get_contextvars() == {"password": SECRET}


def test_records_stay_as_they_are(service: Service) -> None:
    """A stdlib record keeps message, arguments and fields for the handlers that come after."""
    record = service.std.makeRecord("svc", 20, "f", 1, "got %s", (SECRET,), None, extra={"password": SECRET})

    service.std.handle(record)

    assert (record.msg, record.args, record.__dict__["password"]) == ("got %s", (SECRET,), SECRET)


def test_redacting_a_value_changes_nothing_in_place() -> None:
    """`redact_value` makes new containers and leaves the old ones."""
    value = {"a": [SECRET], "b": {SECRET: 1}}

    shown = Redactor([SECRET]).redact_value(value)

    assert SECRET not in repr(shown)
    assert value == {"a": [SECRET], "b": {SECRET: 1}}


def test_harmless_values_keep_identity(named: Named) -> None:
    """A harmless value comes back as the very same object."""
    cases = [
        OrderedDict(a=1, b="x"),
        namedtuple("Point", "x y")(1, "two"),
        types.MappingProxyType({"a": 1}),
        frozenset({1, 2}),
        (1, "two"),
        datetime(2026, 1, 1, tzinfo=UTC),
        b"bytes",
        1.5,
        10**20,
    ]

    for value in cases:
        with named(value):
            assert Redactor([SECRET]).redact_value(value) is value


@pytest.mark.parametrize(
    "value",
    [OrderedDict(a=SECRET), namedtuple("Point", "x y")(1, SECRET), frozenset({SECRET}), (1, SECRET)],
    ids=lambda value: type(value).__name__,
)
def test_masked_containers_keep_their_type(value: object) -> None:
    """A container of a secret comes back masked, in its own type if that takes any items."""
    shown = Redactor([SECRET]).redact_value(value)

    assert SECRET not in repr(shown)
    assert type(shown) is type(value)


def test_self_reference(service: Service) -> None:
    """A list that contains itself becomes one event."""
    loop: list[Any] = [SECRET]
    loop.append(loop)

    service.log.info("event", loop=loop)

    assert service.last["event"] == "event"
    assert service.last["loop"] == ["[REDACTED:secret]", "[circular]"]


def test_a_thousand_levels(service: Service) -> None:
    """A value nested a thousand deep becomes one event, with what is near its surface."""
    deep: Any = SECRET
    for _ in range(1000):
        deep = {"in": deep}

    service.log.info("event", deep=deep)

    assert service.last["event"] == "event"
    assert "nested too deep" in json.dumps(service.last["deep"])


@pytest.mark.timeout(600)
def test_shared_references_do_not_explode(service: Service) -> None:
    """Forty lists that each hold the next one twice would be a terabyte of text."""
    shared: Any = "x"
    for _ in range(40):
        shared = [shared, shared]

    service.log.info("event", shared=shared)

    assert service.last["event"] == "event"


def test_raising_repr(service: Service) -> None:
    """An object that cannot be shown becomes a note that says so, without the error's text."""

    class Broken:
        def __repr__(self) -> str:
            raise ValueError(SECRET)

    service.log.info("event", broken=Broken(), many=[Broken()])

    assert service.last["broken"] == "<Broken: repr raised ValueError>"


def test_raising_repr_among_arguments(service: Service) -> None:
    """If an argument does not fit its place, the event goes out without content, and nothing is raised."""

    class Broken:
        def __repr__(self) -> str:
            raise ValueError(SECRET)

    for arguments in ((Broken(),), (SECRET, SECRET)):
        service.log.warning("event %s", *arguments)

        assert service.last["event"] == "withheld"
        assert (service.last["logger"], service.last["level"]) == ("svc", "warning")
        assert SECRET not in service.stream.getvalue()


def test_raising_str_of_an_exception(service: Service) -> None:
    """An exception that cannot be shown still gives an event."""

    class BrokenError(Exception):
        def __str__(self) -> str:
            raise ValueError(SECRET)

    try:
        raise BrokenError  # noqa: TRY301
    except BrokenError:
        service.log.exception("failed")

    assert service.last["event"] == "failed"


def test_recursing_repr(service: Service) -> None:
    """An object whose repr recurses for ever."""

    class Recursing:
        def __repr__(self) -> str:
            return repr(self)

    service.log.info("event", recursing=Recursing())

    assert service.last["recursing"] == "<Recursing: repr raised RecursionError>"


@pytest.mark.timeout(600)
def test_ten_megabytes(service: Service) -> None:
    """A 10 MB value does not hang a log call, and the secret in its middle is masked."""
    root = logging.getLogger()
    root.handlers[:] = [handler for handler in root.handlers if isinstance(handler, LogHandler)]  # not pytest's
    filler = "some words, key=value and 'quotes' " * 150_000

    service.log.info("event", large=f"{filler} {SECRET} {filler}")

    assert SECRET not in service.stream.getvalue()
    assert len(service.last["large"]) > 10_000_000


@pytest.mark.timeout(600)
def test_hostile_repetition(named: Named, *, long_form: bool) -> None:
    """No long text, however hostile, costs hundreds of times what words cost, and the secret behind it is masked."""
    size = 500_000 if long_form else 100_000

    def cost(unit: str) -> float:
        """The processor time for a text of that size."""
        text, begun = unit * (size // len(unit)), time.process_time()
        assert SECRET not in Redactor([SECRET]).redact(f"{text} {SECRET}")
        return time.process_time() - begun

    words = max(cost("some words of a text "), 0.001)
    cases = [
        "-----BEGIN " + "PRIVATE KEY-----",
        "[parameters: ",
        "failing row contains (",
        "duplicate entry '",
        ")=(",
        "://a:",
        'password="',
        'password=\\"',
        "authorization: ",
        "authorization ",
        "x_key=",
        "x_key='",
        "x_key=\"a x_key='a x_key=`a ",
        "key: a1",
        "--key ",
        "'--x', 'key', ",
        "<key>",
        "password 'a",
        "cookie: a=",
        "pass",
        "otp_jwt=",
        "gAAAAA",
        "eyJ" + "a" * 20 + ".",
        "eyJ",
        "_eyJ",
        "=" * 50,
        "key ",
        "\\",
        "\\u001b[",
        "\x1b[1",
        "\x1b[35mpassword\x1b[0m=",
        "A1b2C3d4E5f6G7h8",
        "%41",
        "%25",
        "%",
        "0x41, ",
        "\\x41",
        "0000 41 ",
        "0000  41 41 41 41 41 41 41 41  |AAAA",
        "0000",
        "password is ",
        "password ",
        'password" value="',
        "setPassword('",
        "identified by '",
        "identified ",
        "://a b:",
        "://a b c@",
        "a:@",
        "a:b@c",
        "@",
        "password=a.b",
        "password=a&",
    ]

    for unit in cases:
        with named(unit):
            assert cost(unit) / words < TIMES


@pytest.mark.long
@pytest.mark.timeout(600)
def test_many_pairs_in_a_long_text() -> None:
    """The cost of a pair does not grow with the text before it: six megabytes of them do not hang a log call."""
    assert SECRET not in Redactor([SECRET]).redact('password="' * 600_000 + SECRET)


def test_odd_keys(service: Service) -> None:
    """Field names of any type, and lone surrogates, come out as JSON."""
    service.log.info("event", odd={1: "a", None: "b", (1, 2): "c", b"d": "e"}, surrogate="\udc80", big=10**30)

    assert service.last["event"] == "event"


def test_non_ascii_stays_readable(service: Service) -> None:
    """Masking cuts no character in two."""
    service.log.info("event", text=f"größe {SECRET} 日本語 👩\u200d💻")

    assert service.last["text"] == "größe [REDACTED:secret] 日本語 👩\u200d💻"


def test_one_event_stays_one_line(named: Named) -> None:
    """No value breaks the line, moves a terminal's cursor, turns the text or is not seen."""
    cases = ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\u2028b", "a\u2029b", "a\x85b", "a\x00b", "a\x9bb"]
    cases += ["a\u202eb", "a\u2066b", "a\u200eb", "a\u061cb", "a\u200bb", "a\ufeffb"]

    for text in cases:
        for renderer in ("json", "console"):
            with named(text, renderer):
                stream = io.StringIO()
                configure_logging(Redactor(), stream=stream, renderer=renderer)

                structlog.get_logger().info(f"event {text}", field=text, **{text: 1}, nested={text: [text]})
                logging.getLogger("std").warning("std %s", text)

                assert len(stream.getvalue().splitlines()) == 2
                assert stream.getvalue().replace("\n", "").isprintable()


def test_no_line_of_a_traceback_passes_for_an_event() -> None:
    """On the console a traceback's lines are indented, and what could break or forge a line is escaped."""
    stream = io.StringIO()
    configure_logging(Redactor(), stream=stream, renderer="console")

    try:
        raise ValueError("a\n2026-01-01 [info] forged\u2028forged\x1b[2Jforged")  # noqa: TRY301
    except ValueError:
        structlog.get_logger().exception("failed")

    _, *rest = stream.getvalue().splitlines()
    assert all(line.startswith("    ") for line in rest)
    assert "\\u2028forged\\x1b[2Jforged" in rest[-1]
