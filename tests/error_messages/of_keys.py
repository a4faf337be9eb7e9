"""Keys, lists of keys, files, commands, and names of contexts and key sets that are refused or warned of."""

from __future__ import annotations

import base64
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from keyring_core import Derivation, Key, Keyring, key_set
from keyring_core.blind_index import normal_form
from keyring_core.environment import reload_seconds
from keyring_core.key_commands import MAX_OUTPUT_BYTES, run_key_command
from keyring_core.keys import check_context
from tests.keys import key_text, mistyped

KEY, OTHER, SUSPENDED = map(key_text, ("primary", "previous", "suspended"))
RAW = base64.urlsafe_b64decode(KEY)
SECRET = "a secret of many words, which nobody else has"
BOUND = "users.api_key"
ZEROS = base64.urlsafe_b64encode(bytes(32)).decode()


def causes(folder: Path) -> Iterator[Callable[[], object]]:
    """Each call ends with an error or a warning. Files are made in *folder*."""
    yield from (partial(_read, ENCRYPTION_KEY=text) for text in _texts())
    yield from (partial(Key.parse, value, "ENCRYPTION_KEY") for value in (None, 7, b"\xef\xbb\xbf" + KEY.encode()))
    yield partial(Key.parse, KEY.encode() + b"\xff", "ENCRYPTION_KEY")
    yield partial(Key, b"short")
    yield from _weak()
    yield from _lists()
    yield from _files(folder)
    yield from _commands()
    yield from _settings()
    yield from _derivations()


def _read(**variables: str) -> Keyring:
    return Keyring.from_env(variables)


def _texts() -> Iterator[str]:
    encoded = base64.urlsafe_b64encode
    yield from (
        "",
        "  ",
        "changeme",
        "<your-key>",
        "<fernet>",
        "${FERNET}",
        f'"{KEY}"',
        f"b'{KEY}'",
        f"{KEY[:20]} {KEY[20:]}",
    )
    yield from (
        f"{KEY}\n{OTHER}",
        f"{KEY},{OTHER}",
        f"{KEY};",
        KEY + OTHER,
        f"{KEY}==",
        f"{KEY}=",
        KEY[:-1],
        KEY.encode().hex(),
    )
    yield from (
        RAW.hex(),
        f"{KEY[:9]}%{KEY[9:]}",
        f"{KEY}\0",
        f"{KEY}\u200b",
        KEY[:20],
        encoded(RAW[:31]).decode(),
        "x" * 32,
    )
    yield encoded(b"\xfb\xff" + RAW[2:]).decode().replace("-", "+").replace("_", "/")


def _weak() -> Iterator[Callable[[], object]]:
    public = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4="
    few = base64.urlsafe_b64encode(hashlib.sha256(b"few").digest()[:8].replace(b"\0", b"\1") + RAW[:2] * 12).decode()
    halves = base64.urlsafe_b64encode(RAW[:16] * 2).decode()
    placeholder = base64.urlsafe_b64encode(b"replace-me-with-32-random-bytes!").decode()
    yield from (partial(_read, ENCRYPTION_KEY=text) for text in (public, ZEROS, halves, few, placeholder))
    previous = {"ENCRYPTION_KEY": KEY, "ENCRYPTION_PREVIOUS_KEYS": ZEROS}
    yield partial(_read, **previous)
    yield partial(_read, **previous, ENCRYPTION_ALLOW_WEAK_PREVIOUS="1")
    yield partial(Derivation("sha256").key, "")


def _lists() -> Iterator[Callable[[], object]]:
    def lists(previous: str, **others: str) -> Callable[[], object]:
        return partial(_read, ENCRYPTION_KEY=KEY, ENCRYPTION_PREVIOUS_KEYS=previous, **others)

    yield from map(lists, (f'["{OTHER}"]', f"{OTHER};{KEY}", f"{OTHER},", f"{OTHER},{OTHER}", f"{OTHER},short", KEY))
    yield lists(",".join([OTHER] * 1001))
    yield lists(mistyped(KEY))
    yield lists("", ENCRYPTION_STAGED_KEY=KEY)
    yield partial(Keyring, KEY, OTHER)
    first, second = map(Key, _same_id())
    yield partial(Keyring, first, [second])


def _same_id() -> tuple[bytes, bytes]:
    """Two keys with one id of 32 bits: about 80,000 are enough to find them."""
    found: dict[bytes, bytes] = {}
    for number in range(1_000_000):
        raw = hashlib.sha256(b"%d" % number).digest()
        other = found.setdefault(hashlib.sha256(b"keyring-core key id v1\0" + raw).digest()[:4], raw)
        if other != raw:
            return other, raw
    raise AssertionError("no two keys with one id")


def _files(folder: Path) -> Iterator[Callable[[], object]]:
    def reads(path: str, **others: str) -> Callable[[], object]:
        return partial(_read, ENCRYPTION_KEY_FILE=path, **others)

    large, open_to_all, empty = folder / "large", folder / "open", folder / "empty"
    large.write_bytes(b"#" * (MAX_OUTPUT_BYTES * 2))
    open_to_all.write_text(KEY)
    open_to_all.chmod(0o644)
    empty.touch(0o600)
    os.mkfifo(folder / "fifo")
    (folder / "writable").write_text(KEY)
    (folder / "writable").chmod(0o666)
    yield reads(KEY)
    yield reads("")
    yield reads("$CREDENTIALS_DIRECTORY/key")
    yield reads("$HOME/nothing")
    for name in ("nothing", "", "large", "open", "writable", "fifo", "empty", "a\0b"):
        yield reads(f"{folder}/{name}")
    yield reads(str(open_to_all), ENCRYPTION_KEY=KEY)


def _commands() -> Iterator[Callable[[], object]]:
    def prints(code: str) -> str:
        return f"{sys.executable} -S -c '{code}'"

    endings = ("import os; os.kill(os.getpid(), 9)", 'import sys; sys.exit("no such secret")', "")
    wrong = ("", "no-such-program", "echo 'x", "true", prints(f'print("x" * {MAX_OUTPUT_BYTES + 1})'))
    for command in (*wrong, *map(prints, endings[:2])):
        yield partial(run_key_command, command, "ENCRYPTION_KEY_COMMAND", {}, 30)
    yield partial(run_key_command, "sleep 60", "ENCRYPTION_KEY_COMMAND", {}, 0.1)


def _settings() -> Iterator[Callable[[], object]]:
    yield partial(_read, ENCRYPTION_KEY=KEY, ENCRYPTION_KEY_OLD=OTHER)
    yield partial(reload_seconds, {"ENCRYPTION_RELOAD_SECONDS": "soon"})
    yield partial(key_set, "no name!")
    yield lambda: (key_set("errors.page"), key_set("errors-page"))
    yield partial(normal_form, "upper")
    yield from (partial(check_context, name) for name in ("", " users.api_key", "users.\udc80", 7))
    yield lambda: Key.parse(KEY).bind(BOUND).bind(BOUND)


def _derivations() -> Iterator[Callable[[], object]]:
    yield partial(Derivation, "sha265")
    yield partial(Derivation, "pbkdf2-sha256", salt="pepper")
    yield partial(Derivation, "sha256", salt="pepper")
    yield partial(Derivation, "pbkdf2-sha256", salt="pepper", iterations=0)
    yield partial(Derivation("sha256").key, "x" * 20_000)
    yield partial(Derivation, "pbkdf2-sha256", salt=7, iterations=1)
    yield partial(Derivation("sha256").key, SECRET + "\ud800")
    yield partial(Derivation("text32").key, SECRET)
    yield partial(Derivation("hex").key, SECRET)
    yield partial(Derivation("raw-unpadded").key, SECRET)
    yield partial(Derivation("sha256").key, "hunter2")
