"""One secret as other programs print it."""

from __future__ import annotations

import base64
import html
import json
import shlex
import unicodedata
import urllib.parse
from collections.abc import Callable

from tests.keyring_core.redaction.leaks.case import World, leak
from tests.keyring_core.redaction.leaks.dumps import hex_dump

SPELLINGS: dict[str, Callable[[World], str]] = {
    "json": lambda w: json.dumps({"v": w.password}),
    "json_unicode": lambda w: json.dumps({"v": w.password}, ensure_ascii=False),
    "json_twice": lambda w: json.dumps({"v": json.dumps({"v": w.password})}),
    "json_of_letter": lambda w: json.dumps(w.letter),
    "repr": lambda w: repr(w.password),
    "repr_of_bytes": lambda w: repr(w.password.encode()),
    "repr_of_repr": lambda w: repr([repr(w.password)]),
    "repr_in_json": lambda w: json.dumps(repr(w.password)),
    "percent": lambda w: "https://h/x?v=" + urllib.parse.quote(w.password, safe=""),
    "percent_path": lambda w: urllib.parse.quote(w.password),
    "percent_lower": lambda w: urllib.parse.quote(w.password, safe="").replace("%2F", "%2f"),
    "percent_twice": lambda w: urllib.parse.quote(urllib.parse.quote(w.password, safe=""), safe=""),
    "form": lambda w: urllib.parse.urlencode({"v": w.password}),
    "html": lambda w: f"<p>{html.escape(w.password)}</p>",
    "html_text": lambda w: f"<p>{html.escape(w.password, quote=False)}</p>",
    "html_decimal": lambda w: "<p>" + html.escape(w.password).replace("&#x27;", "&#39;") + "</p>",
    "html_xml": lambda w: "<p>" + html.escape(w.password).replace("&#x27;", "&apos;") + "</p>",
    "shell": lambda w: "curl " + shlex.quote(w.password),
    "sql": lambda w: "select '" + w.password.replace("'", "''") + "'",
    "hex": lambda w: w.password.encode().hex(),
    "hex_upper": lambda w: w.password.encode().hex().upper(),
    "hex_dump": lambda w: w.password.encode().hex(":"),
    "hex_dashes": lambda w: w.password.encode().hex("-"),
    "upper": lambda w: w.plaintext.upper(),
    "lower": lambda w: w.plaintext.lower(),
    "swapped": lambda w: w.plaintext.swapcase(),
    "capitalised": lambda w: w.accented.upper(),
    "nfd": lambda w: unicodedata.normalize("NFD", w.accented),
    "nfkc": lambda w: unicodedata.normalize("NFKC", w.accented),
    "nfd_in_json": lambda w: json.dumps(unicodedata.normalize("NFD", w.accented)),
    "bytes_of_accented": lambda w: repr(w.accented.encode()),
    "latin": lambda w: "x " + w.accented,
    "one_line_of_several": lambda w: w.letter.splitlines()[1],
    "two_lines_of_several": lambda w: "\n".join(w.letter.splitlines()[1:3]),
    "several_lines": lambda w: w.letter,
    "several_lines_crlf": lambda w: w.letter.replace("\n", "\r\n"),
    "key_unpadded": lambda w: w.key.rstrip("="),
    "key_standard_alphabet": lambda w: base64.b64encode(w.raw).decode(),
    "key_standard_unpadded": lambda w: base64.b64encode(w.raw).decode().rstrip("="),
    "key_percent": lambda w: urllib.parse.quote(base64.b64encode(w.raw).decode(), safe=""),
    "key_hex": lambda w: w.raw.hex(),
    "key_hex_half": lambda w: w.raw[16:].hex(),
    "key_upper": lambda w: w.key.upper(),
    "key_base64_again": lambda w: base64.b64encode(w.key.encode()).decode(),
    "key_half_base64": lambda w: base64.b64encode(w.raw[16:]).decode(),
    "key_numbers": lambda w: ",".join(map(str, w.raw)),
    "key_text_numbers": lambda w: str(list(w.key.encode())),
    "key_text_hex_dump": lambda w: w.key.encode().hex(":"),
    "key_base64_lines": lambda w: base64.encodebytes(b"x" * 35 + w.key.encode() + b"\nPATH=/bin").decode(),
    "base64_lines": lambda w: base64.encodebytes(b"x" * 43 + w.password.encode()).decode(),
    "key_bytes_in_json": lambda w: json.dumps(repr(w.raw)),
    "key_in_data": lambda w: base64.b64encode(b"x" + w.raw + b"y").decode(),
    "key_other_last_character": lambda w: w.key[:42] + chr(ord(w.key[42]) + 1) + "=",
    "key_in_c": lambda w: "{" + ", ".join(f"0x{byte:02x}" for byte in w.raw) + "}",
    "key_in_c_capitals": lambda w: ",".join(f"0X{byte:02X}" for byte in w.raw),
    "key_in_go": lambda w: "[]byte{" + ", ".join(f"{byte:#x}" for byte in w.raw) + "}",
    "key_in_go_numbers": lambda w: str(list(w.raw)).replace(",", ""),
    "key_text_in_c": lambda w: ", ".join(f"0x{byte:02x}" for byte in w.key.encode()),
    "key_escapes": lambda w: "".join(f"\\x{byte:02x}" for byte in w.raw),
    "key_percent_in_full": lambda w: "".join(f"%{byte:02x}" for byte in w.raw),
    "key_text_percent_in_full": lambda w: "".join(f"%{byte:02X}" for byte in w.key.encode()),
    "key_in_a_url_in_json": lambda w: "https://h/?q=" + urllib.parse.quote(json.dumps({"k": w.key, "t": 1})),
    "key_hexdump": lambda w: hex_dump(w.raw),
    "key_text_hexdump": lambda w: hex_dump(b"ENCRYPTION_KEY=" + w.key.encode() + b"\n"),
    "key_xxd": lambda w: hex_dump(w.raw, words=2),
    "password_in_c": lambda w: ", ".join(f"0x{byte:02x}" for byte in w.password.encode()),
    "password_percent_in_full": lambda w: "".join(f"%{byte:02X}" for byte in w.password.encode()),
    "password_hexdump": lambda w: hex_dump(w.password.encode()),
    "base64_basic_auth": lambda w: base64.b64encode(f"bob:{w.plaintext}".encode()).decode(),
    "base64_mime": lambda w: base64.encodebytes(w.long.encode()).decode(),
}
for _shift in range(3):
    for _urlsafe in (False, True):
        _encode = base64.urlsafe_b64encode if _urlsafe else base64.b64encode
        SPELLINGS[f"base64_{_shift}{'_urlsafe' if _urlsafe else ''}"] = lambda w, shift=_shift, encode=_encode: encode(
            b"x" * shift + w.password.encode() + b"tail"
        ).decode()


def _case(spell: Callable[[World], str]) -> Callable[[World], None]:
    def run(world: World) -> None:
        world.log.info("spelled " + spell(world), kept="kept")

    run.__module__ = __name__
    return run


for _name, _spell in SPELLINGS.items():
    leak(name=_name, alone=False)(_case(_spell))
