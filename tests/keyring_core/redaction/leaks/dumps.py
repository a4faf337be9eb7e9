"""Hex dumps, on machines that have no program for them."""

from __future__ import annotations


def hex_dump(data: bytes, *, words: int = 1) -> str:
    """*data* as hexdump -C shows it, or, in words of two bytes, xxd."""
    lines = []
    for start in range(0, len(data), 16):
        line = data[start : start + 16]
        shown = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in line)
        if words == 1:
            lines.append(f"{start:08x}  {line[:8].hex(' '):23}  {line[8:].hex(' '):23}  |{shown}|")
        else:
            lines.append(f"{start:08x}: {line.hex(' ', -words):39}  {shown}")
    return "\n".join([*lines, f"{len(data):08x}"])
