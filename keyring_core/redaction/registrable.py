"""Decides which values can be registered: a short or common one would mask harmless text."""

from __future__ import annotations

import re

from keyring_core.redaction.folding import as_text

SHORTEST = 8
_FEWEST_CHARACTERS = 4
_LONGEST_NUMBER = 11

# Common defaults and placeholders of eight characters or more. They protect nothing, and masking them hides harmless
# text.
_COMMON = frozenset(
    """
    password passwords password1 passw0rd passphrase changeme changeit change-me change_me please-change placeholder
    postgres postgresql mysql-root localhost localhost.localdomain administrator admin123 admin1234 rootroot
    username database default-password production development undefined testtest test1234 qwertyuiop qwerty123
    letmein1 iloveyou welcome1 12345678a abcd1234 example.com example-key your-key-here your-secret-here secret-key
    secretkey secret123 not-set disabled anonymous redacted withheld
    """.split()  # noqa: SIM905 - a list of fifty quoted words is no easier to read
)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}([T ][\d:.,+Z-]*)?")


def unfit(value: str | bytes) -> str | None:
    """Why *value* cannot be masked by its text, or None. Does not show the value."""
    text = as_text(value).strip()
    seen = text.replace("\\", "").replace(" ", "")  # as the matchers see it
    faults = (
        (not text, "empty"),
        (
            len(seen) < SHORTEST,
            f"{len(seen)} characters, at least {SHORTEST} are needed to mask it alone",
        ),
        (len(set(seen)) < _FEWEST_CHARACTERS, f"fewer than {_FEWEST_CHARACTERS} different characters"),
        (text.isdecimal() and len(text) <= _LONGEST_NUMBER, "a number that counts and times can equal"),
        (text.casefold() in _COMMON, "a common word, which harmless text holds too"),
        (_DATE.fullmatch(text), "a date"),
    )
    return next((reason for found, reason in faults if found), None)
