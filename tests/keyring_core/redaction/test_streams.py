"""stdout and stderr behind a guard: what is no text, in parts, or in a forked child."""

from __future__ import annotations

import gzip
import io
import os
import pprint
import random
import secrets
import threading
import tracemalloc
from collections.abc import Callable

import pytest

from keyring_core.redaction import Redactor, redacting
from keyring_core.redaction.block_masks import MOST_MASKS
from keyring_core.redaction.guarded_streams import GuardedStream
from tests.conftest import Named
from tests.keys import random_secret
from tests.processes import in_a_fork

SECRET = random_secret()


def guarded(encoding: str = "utf-8") -> tuple[GuardedStream, io.BytesIO]:
    """A guarded stream, and what its bytes go to."""
    raw = io.BytesIO()
    return GuardedStream(io.TextIOWrapper(raw, encoding), Redactor([SECRET])), raw


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    """A gzip stream written to ``sys.stdout.buffer`` arrives unchanged, however it is cut."""
    stream, raw = guarded()
    # Fixed bytes: about one random stream in 170 holds what reads as a password, such as "PW=",
    # and a password is masked even there.
    data = gzip.compress(random.Random(1).randbytes(5000), mtime=0)

    for start in range(0, len(data), 7):
        stream.buffer.write(data[start : start + 7])
    stream.flush()

    assert raw.getvalue() == data


def test_a_line_that_may_go_on_waits_for_the_next() -> None:
    """A bytes literal that pprint breaks over lines is masked as one; a flush writes a line that waits."""
    secret = bytes(range(128, 160))
    raw = io.BytesIO()
    stream = GuardedStream(io.TextIOWrapper(raw, "utf-8"), Redactor([secret]))

    pprint.pprint({"a": secret}, stream=stream)
    print(b"\x80", file=stream)
    stream.flush()

    assert raw.getvalue().decode() == "{'a': b'[REDACTED:secret]'}\nb'\\x80'\n"


def test_a_literal_keeps_only_itself_waiting() -> None:
    """Literals that are printed one by one arrive but for the last; of a long one, all but its end."""
    raw = io.BytesIO()
    text = io.TextIOWrapper(raw, "utf-8", write_through=True)
    stream = GuardedStream(text, Redactor([SECRET]))

    for _ in range(3):
        print(b"\x80", file=stream)
    assert raw.getvalue().decode() == "b'\\x80'\n" * 2

    pprint.pprint(b"\x80" * 100_000, stream=stream)
    assert len(raw.getvalue()) > 400_000
    stream.flush()
    assert raw.getvalue().count(b"\\x80") == 100_003


@pytest.mark.parametrize("flush", [True, False])
def test_a_character_in_two_writes(flush: bool) -> None:
    """A character whose bytes come in two writes arrives whole, even with a flush in between."""
    stream, raw = guarded()

    stream.buffer.write(b"gr\xc3")
    if flush:
        stream.buffer.flush()
    stream.buffer.write(b"\xb6\xc3\x9fe\n")
    stream.buffer.flush()

    assert raw.getvalue().decode() == "größe\n"


def test_bytes_on_a_stream_of_ascii() -> None:
    """Bytes do not go through the encoding of the text layer."""
    stream, raw = guarded("ascii")

    stream.buffer.write("größe\n".encode())
    stream.flush()

    assert raw.getvalue().decode() == "größe\n"


def test_a_secret_in_bytes_is_masked() -> None:
    """A secret is masked in one write, in two, in several lines at once, and next to bytes that are no text."""
    stream, raw = guarded()

    stream.buffer.write(SECRET.encode()[:10])
    stream.buffer.write(SECRET.encode()[10:] + b"\n")
    stream.buffer.writelines([b"\xff ", SECRET.encode()])
    stream.flush()

    assert raw.getvalue().count(b"[REDACTED:secret]") == 2
    assert SECRET.encode() not in raw.getvalue()


def test_a_stream_without_bytes() -> None:
    """A stream that has no binary side has none behind the guard either."""
    assert not hasattr(GuardedStream(io.StringIO(), Redactor()), "buffer")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_child_writes_though_another_thread_was_writing() -> None:
    """A child that is forked while another thread writes to the stream writes to it, too."""
    writing, go_on = threading.Event(), threading.Event()

    class Slow(io.StringIO):
        def write(self, text: str) -> int:
            writing.set()
            go_on.wait(300)
            return super().write(text)

    stream = GuardedStream(Slow(), Redactor())
    thread = threading.Thread(target=stream.write, args=("parent\n",))
    thread.start()
    writing.wait(300)

    def write() -> int:
        go_on.set()
        return stream.write("child\n")

    written = in_a_fork(write)
    go_on.set()
    thread.join()

    assert written


VALUE = "decrypted-" + secrets.token_urlsafe(12)


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda stream: stream.write(f"value {VALUE}"), id="text"),
        pytest.param(lambda stream: stream.buffer.write(f"value {VALUE}".encode()), id="bytes"),
        pytest.param(lambda stream: print(repr(b"\x00\xff" + VALUE.encode()), file=stream), id="literal"),
    ],
)
@pytest.mark.parametrize(
    "end",
    [
        pytest.param(lambda stream: stream.write("\n"), id="newline"),
        pytest.param(lambda stream: stream.buffer.write(b"\n"), id="newline in bytes"),
        pytest.param(lambda stream: None, id="flush"),
    ],
)
def test_a_line_that_a_block_began_is_masked_after_the_block(
    write: Callable[[GuardedStream], object], end: Callable[[GuardedStream], object]
) -> None:
    """What was written without a newline, or waits for more of a literal, is masked as it was in the block."""
    stream, raw = guarded()

    with redacting(VALUE):
        write(stream)
    end(stream)
    stream.flush()

    assert "[REDACTED:secret]" in raw.getvalue().decode()
    assert VALUE not in raw.getvalue().decode()


def test_a_line_of_several_blocks_is_masked_by_all(named: Named) -> None:
    """Blocks of several threads, inside and after each other, and more of them than masks are kept."""
    values = [f"{VALUE}-{secrets.token_urlsafe(12)}" for _ in range(4 * MOST_MASKS)]

    def write(stream: GuardedStream, value: str) -> None:
        with redacting("another-" + value), redacting(value):
            stream.write(f"{value} | ")

    for threads in (False, True):
        with named("threads" if threads else "one thread"):
            stream, raw = guarded()
            for value in values:
                if threads:
                    thread = threading.Thread(target=write, args=(stream, value))
                    thread.start()
                    thread.join()
                else:
                    write(stream, value)
            stream.flush()

            assert raw.getvalue().decode() == "[REDACTED:secret] | " * len(values)


def test_a_line_from_an_exception_is_masked_after_its_handler() -> None:
    """An exception's text that is printed without a newline keeps the masks of the exception."""
    stream, raw = guarded()

    @redacting(VALUE)
    def fail() -> None:
        raise ValueError(VALUE)

    try:
        fail()
    except ValueError as error:
        stream.write(f"failed: {error}")
    stream.flush()

    assert raw.getvalue() == b"failed: [REDACTED:secret]"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_line_that_was_begun_before_a_fork_is_masked_in_both() -> None:
    """The child has a copy of the unfinished line, and of its masks."""
    stream, raw = guarded()
    with redacting(VALUE):
        stream.write(VALUE)

    def is_masked() -> bool:
        stream.flush()
        return raw.getvalue() == b"[REDACTED:secret]"

    assert in_a_fork(is_masked)
    assert is_masked()


def test_the_masks_end_with_the_line() -> None:
    """Once the line is written, its value is masked no more."""
    stream, raw = guarded()
    with redacting(VALUE):
        stream.write(VALUE)
        stream.buffer.write(VALUE.encode())

    stream.flush()
    print(VALUE, file=stream, flush=True)

    assert raw.getvalue().decode() == "[REDACTED:secret]" * 2 + f"{VALUE}\n"


@pytest.mark.parametrize("binary", [False, True], ids=["text", "bytes"])
def test_no_write_copies_the_unfinished_line(*, binary: bool) -> None:
    """``json.dump`` writes one long line in many small pieces, and each costs what the piece does."""
    stream, _ = guarded()
    write: Callable[..., int] = stream.buffer.write if binary else stream.write
    long, piece = (b"1, " * 1_000_000, b"1, ") if binary else ("1, " * 1_000_000, "1, ")
    write(long)
    write(piece)
    tracemalloc.start()

    write(piece)

    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < len(long) // 10
