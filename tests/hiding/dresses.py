"""How a token is encoded or embedded: the values in which applications, drivers and exports keep one."""

from __future__ import annotations

import base64
import json
import pickle
import quopri
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from cryptography.fernet import Fernet

from keyring_core import Key, Keyring
from keyring_core.blind_index import BlindIndex
from tests.fakes import ISSUED_AT

Value = str | bytes

NAMED_CONTEXT, OTHER_CONTEXT = "vault.token", "tenant-7/vault.token"
"""A context that a target names, and one that no target names."""
KIB = 1024
MIB = 1024 * KIB


@dataclass(frozen=True)
class Tokens:
    """Makes tokens under the *hidden* key; *primary* opens what holds them, *foreign* is another application's."""

    hidden: Key
    primary: Key
    foreign: Key

    def token(self, text: Value = "hidden", at: int = ISSUED_AT) -> str:
        """A token under the hidden key: a hundred characters with two of padding if *text* is short."""
        return _encrypt(self.hidden, text, at)

    def around(self, text: Value) -> str:
        """A token under the primary key whose plaintext is *text*."""
        return _encrypt(self.primary, text)

    def decoy(self) -> str:
        """A token under the foreign key."""
        return _encrypt(self.foreign, "decoy")

    def bound(self, context: str) -> str:
        """A token under the hidden key, bound to *context*."""
        return Keyring(self.hidden).bind(context).encrypt("hidden")

    def with_symbols(self, text: str = "hidden") -> str:
        """A token in which the two alphabets of base64 differ."""
        return next(token for token in iter(lambda: self.token(text), "") if "-" in token and "_" in token)


Dress = Callable[[Tokens], Value]


def _encrypt(key: Key, text: Value, at: int = ISSUED_AT) -> str:
    data = text.encode() if isinstance(text, str) else text
    return Fernet(key.reveal()).encrypt_at_time(data, at).decode()


def _base64(value: Value) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def _standard(token: str) -> str:
    return token.translate(str.maketrans("-_", "+/"))


def _lines(text: str, width: int, end: str) -> str:
    return "".join(text[start : start + width] + end for start in range(0, len(text), width))


def _interrupted(tokens: Tokens, by: str) -> str:
    token = tokens.token()
    return token[:40] + by + token[40:]


def _json(tokens: Tokens) -> str:
    return json.dumps({"scope": "all", "token": tokens.token()})


def _escaped(text: str) -> str:
    return "".join(f"\\u{ord(letter):04x}" for letter in text)


def _long(size: int, place: int, filler: str = "Lorem ipsum dolor. ") -> Dress:
    """A text of *size* characters with a token at *place*."""

    def dress(tokens: Tokens) -> str:
        token, text = tokens.token(), (filler * (size // len(filler) + 1))[:size]
        return f"{text[:place]} {token} {text[place + len(token) + 2 :]}"

    return dress


TEXT: dict[str, Dress] = {
    "bare": lambda t: t.token(),
    "long-bare": lambda t: t.token("hidden " * 300),
    "quoted": lambda t: f'"{t.token()}"',
    "bytes-repr": lambda t: f"b'{t.token()}'",
    "standard": lambda t: _standard(t.with_symbols()),
    "no-padding": lambda t: t.token().rstrip("="),
    "standard-no-padding": lambda t: _standard(t.with_symbols()).rstrip("="),
    "wrapped-64-lf": lambda t: _lines(t.token("hidden " * 30), 64, "\n"),
    "wrapped-76-crlf": lambda t: _lines(t.token("hidden " * 30), 76, "\r\n"),
    "standard-wrapped": lambda t: _lines(_standard(t.with_symbols("hidden " * 30)), 76, "\n"),
    "blank-inside": lambda t: (token := t.token())[:40] + " " + token[40:],
    "comma-inside": lambda t: _interrupted(t, ","),
    "quote-inside": lambda t: _interrupted(t, '"'),
    "pipe-inside": lambda t: _interrupted(t, "|"),
    "no-break-space-inside": lambda t: _interrupted(t, "\u00a0"),
    "soft-hyphen-inside": lambda t: _interrupted(t, "\u00ad"),
    "zero-width-space-inside": lambda t: _interrupted(t, "\u200b"),
    "line-separator-inside": lambda t: _interrupted(t, "\u2028"),
    "padded-with-blanks": lambda t: f"  {t.token()}   \n",
    "byte-order-mark": lambda t: f"\ufeff{t.token()}",
    "glued-behind-foreign": lambda t: t.decoy() + t.token(),
    "glued-before-foreign": lambda t: t.token() + t.decoy(),
    "trailing-garbage": lambda t: f"{t.token()}\x01\x02junk",
    "year-1970": lambda t: t.token(at=0),
    "year-2500": lambda t: t.token(at=16_725_225_600),
    "year-71000": lambda t: t.token(at=2**41),
    "bound-to-a-named-context": lambda t: t.bound(NAMED_CONTEXT),
    "bound-to-another-context": lambda t: t.bound(OTHER_CONTEXT),
    "hex": lambda t: t.token().encode().hex(),
    "hex-upper": lambda t: t.token().encode().hex().upper(),
    "hex-bytea": lambda t: f"\\x{t.token().encode().hex()}",
    "hex-0x": lambda t: f"0x{t.token().encode().hex()}",
    "hex-of-decoded": lambda t: base64.urlsafe_b64decode(t.token()).hex(),
    "base64": lambda t: _base64(t.token()),
    "base64-no-padding": lambda t: _base64(t.token()).rstrip("="),
    "base64-twice": lambda t: _base64(_base64(t.token())),
    "blind-index": lambda t: BlindIndex("users.email").of(Keyring(t.hidden), "ada@example.org"),
    "nested": lambda t: t.around(t.token()),
    "nested-in-json": lambda t: t.around(_json(t)),
    "nested-in-list": lambda t: t.around(json.dumps(["a", t.token()])),
    "nested-in-base64": lambda t: t.around(_base64(t.token())),
    "nested-in-hex": lambda t: t.around(t.token().encode().hex()),
    "nested-decoded": lambda t: t.around(base64.urlsafe_b64decode(t.token())),
    "nested-twice": lambda t: t.around(t.around(t.token())),
    "nested-twice-in-json": lambda t: t.around(json.dumps({"token": t.around(_json(t))})),
}
"""A token and nothing else: whole, in another spelling, or inside another token. Or a blind index."""

IN_TEXT: dict[str, Dress] = {
    "json-value": _json,
    "json-list": lambda t: json.dumps(["a", t.token()]),
    "json-key": lambda t: json.dumps({t.token(): {"seen": 1}}),
    "json-twice": lambda t: json.dumps({"body": _json(t)}),
    "json-thrice": lambda t: json.dumps({"event": json.dumps({"body": json.dumps({"note": "a\nb", "t": t.token()})})}),
    "json-gson": lambda t: _json(t).replace("=", "\\u003d"),
    "json-php-slashes": lambda t: json.dumps({"token": _standard(t.with_symbols())}).replace("/", "\\/"),
    "json-escaped": lambda t: f'{{"token": "{_escaped(t.token())}"}}',
    "json-base64": lambda t: json.dumps({"secret": _base64(t.token())}),
    "json-buffer": lambda t: json.dumps({"type": "Buffer", "data": [*t.token().encode()]}),
    "json-hex": lambda t: json.dumps({"secret": t.token().encode().hex()}),
    "url-query": lambda t: f"https://api.example/callback?state=7&token={quote(t.token())}&next=%2Fhome",
    "percent-in-full": lambda t: "token=" + "".join(f"%{byte:02X}" for byte in t.token().encode()),
    "percent-twice": lambda t: f"https://api.example/?u={quote(f'token={quote(t.token())}', safe='')}",
    "prefix-enc": lambda t: f"enc:fernet:{t.token()}",
    "prefix-url": lambda t: f"fernet://{t.token()}",
    "prefix-glued": lambda t: f"v1{t.token()}",
    "yaml": lambda t: f"provider: github\ntoken: {t.token()}\nscope: all\n",
    "yaml-block": lambda t: f"token: >-\n  {_lines(t.token('hidden ' * 30), 64, chr(10) + '  ')}\nscope: all\n",
    "csv": lambda t: f"7,{t.token()},active",
    "dotenv": lambda t: f"PROVIDER=github\nAPI_TOKEN='{t.token()}'\n",
    "xml": lambda t: f"<credential provider='github'><token>{t.token()}</token></credential>",
    "xml-entities": lambda t: f'<token value="{t.token().replace("=", "&#61;")}"/>',
    "html-entities-hex": lambda t: f"<input value='{t.token().replace('=', '&#x3D;')}'>",
    "cookie": lambda t: f"session=abc123; credential={t.token()}; Path=/; HttpOnly",
    "header": lambda t: f"POST /v1 HTTP/1.1\r\nAuthorization: Bearer {t.token()}\r\nAccept: */*\r\n",
    "basic-auth": lambda t: f"Authorization: Basic {_base64(f'user:{t.token()}')}",
    "sql-dump": lambda t: f"INSERT INTO `creds` VALUES (1,'{t.token()}','note');",
    "python-repr": lambda t: repr({"id": 7, "token": t.token().encode()}),
    "php-serialized": lambda t: f'a:1:{{s:5:"token";s:{len(token := t.token())}:"{token}";}}',
    "quoted-printable": lambda t: quopri.encodestring(f"Your token: {t.token()}\n".encode()).decode(),
    "base64-of-json-0": lambda t: _base64(f'{{"to": "{t.token()}"}}'),
    "base64-of-json-1": lambda t: _base64(f'{{"tok": "{t.token()}"}}'),
    "base64-of-json-2": lambda t: _base64(f'{{"toke": "{t.token()}"}}'),
    "base64url-of-json": lambda t: base64.urlsafe_b64encode(f'{{"tök~?~": "{t.token()}"}}'.encode()).decode(),
    "base64-wrapped": lambda t: _lines(_base64(json.dumps({"a": "b" * 90, "token": t.token()})), 76, "\r\n"),
    "base64-of-large-json": lambda t: _base64(json.dumps({"a": "b" * MIB, "token": t.token(), "c": "d" * MIB})),
    "large-100k-first": _long(100_000, 0),
    "large-100k-middle": _long(100_000, 50_001),
    "large-100k-last": _long(100_000, 99_898),
    "large-1m-first": _long(1_000_000, 0),
    "large-1m-middle": _long(1_000_000, 500_003),
    "large-1m-last": _long(1_000_000, 999_898),
    "large-5m-middle": _long(5_000_000, 2_500_007),
    "large-5m-last": _long(5_000_000, 4_999_898),
    "across-64-kib": _long(200_000, 64 * KIB - 50),
    "across-128-kib": _long(200_000, 128 * KIB - 3),
    "across-1-mib": _long(2_000_000, MIB - 50),
    "across-64-kib-of-bytes": _long(300_000, 32 * KIB - 50, "äöüß"),
    "behind-the-mark": lambda t: f"gAAAA begins a token. {_long(250_000, 200_000)(t)}",
    "behind-a-foreign-token": lambda t: f"{t.decoy()} {_long(250_000, 200_000)(t)}",
    "behind-many-foreign-tokens": lambda t: f"{t.decoy()}\n" * 3_000 + t.token(),
}
"""A token among other text. Under a key of another keyring it is ignored."""

NOT_LOOKED_FOR: dict[str, Dress] = {
    "zlib-base64": lambda t: _base64(zlib.compress(t.token().encode())),
    "hex-colons": lambda t: t.token().encode().hex(":"),
    "decimal": lambda t: " ".join(map(str, t.token().encode())),
    "base85": lambda t: base64.b85encode(t.token().encode()).decode(),
    "octal": lambda t: "".join(f"\\{byte:o}" for byte in t.token().encode()),
}
"""In forms that are not looked for: in a target such a cell is a suspect."""

BYTES: dict[str, Dress] = {
    "ascii": lambda t: t.token().encode(),
    "zero-padded": lambda t: t.token().encode().ljust(200, b"\0"),
    "utf-16-le": lambda t: t.token().encode("utf-16-le"),
    "utf-16-be": lambda t: t.token().encode("utf-16-be"),
    "utf-16-json": lambda t: _json(t).encode("utf-16"),
    "utf-32-le": lambda t: t.token().encode("utf-32-le"),
    "decoded": lambda t: base64.urlsafe_b64decode(t.token()),
    "decoded-with-header": lambda t: b"\x01\x00\x00\x49" + base64.urlsafe_b64decode(t.token()),
    "pickle": lambda t: pickle.dumps({"provider": "github", "token": t.token()}),
    "pickle-of-bytes": lambda t: pickle.dumps([t.token().encode()], protocol=2),
    "msgpack": lambda t: b"\x82\xa8provider\xa6github\xa5token\xd9\x64" + t.token().encode(),
    "protobuf": lambda t: b"\x08\x07\x12\x64" + t.token().encode() + b"\x1a\x03abc",
    "latin-1-around": lambda t: b"gr\xfc\xdfe " + t.token().encode() + b" \xff\xfe",
    "zeros-around": lambda t: b"\0" * 70_000 + t.token().encode() + b"\0" * 70_000,
    "json-bytes": lambda t: _json(t).encode(),
}

DRESSES: dict[str, Dress] = TEXT | IN_TEXT | NOT_LOOKED_FOR | BYTES
