"""Names that try to be more than a name, and what is wrong with a text that shows one as it is."""

from __future__ import annotations

import re
from collections.abc import Iterator

LINE = "Retired 12345678: nothing needs it"
"""What an attacker wants to see in a line of its own."""
NAME = f"x\n{LINE}\n\x1b[7A\x9b2J\u202e\u2028\r\x08\x7f\u200bx"
"""A name with all that a terminal obeys, that breaks a line, turns the text or is not seen; 63 bytes at most."""
MARKUP = '[red]|"\'\\`$(x)</b>{{x}}%"""é令ж'
"""What other formats obey: rich, a plugin's line, Prometheus, SQL, a shell, HTML, TOML; and letters that stay."""
OWN_CODES = re.compile(r"\x1b\[(?:\d+(?:;\d+)*m|2K|1A|\?25[lh])|\r(?=\x1b\[2K)")
"""The colours of this program, and how its bars move; none of them is in a name above."""


def faults(text: str) -> Iterator[str]:
    """What is wrong with *text*, that a command printed or wrote."""
    text = OWN_CODES.sub("", text)
    for line in text.split("\n"):
        if line.strip().startswith(LINE):
            yield f"a line of the name's own: {line!r}"
    if obeyed := {letter for letter in text if not letter.isprintable()} - {"\n"}:
        yield f"{sorted(obeyed)!r} in {next(line for line in text.split(chr(10)) if obeyed & {*line})!r}"
