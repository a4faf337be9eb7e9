"""Recognises ordinary words: after `password is`, only what cannot be an ordinary word counts as a secret."""

from __future__ import annotations

from keyring_core.redaction.patterns import ANY_CASE_VERBOSE, EXACT_VERBOSE, compiled

# Takes the place of a value. Also within VERBOSE.
_FIELD = r"(?:%s|%\(\w+\)s|\{[\w.!:]*\})"
PLACEHOLDER = (
    rf"\{{?{_FIELD}(?:[:/\ @._-]{_FIELD})*\}}?|%env\(\w+\)%|\$\{{?[A-Z_]+\}}?|\$\d|<[\w\ |-]+>|[:@][a-z_]+|[*]+|[.]{{3,}}"
    r"|x{3,}|@@\w+@@|__\w+__"
)
# A password may be short; a short token or secret with a digit is mostly a version or a number of something.
PASSWORDS = frozenset({"password", "passphrase"})
_FEWEST_OF_A_PASSWORD = 6
_FEWEST = 8

_DIGIT_AND_LETTER = r"(?=[^0-9]{0,64}+[0-9])[^A-Za-z]{0,64}+[A-Za-z]"
# An algorithm, a standard, a version, or a number with its unit, in so many characters.
_LONGEST_TECHNICAL = 20
_TECHNICAL = r"""(?:
      (?:sha|aes|rfc|iso|utf|pbkdf|argon|bcrypt|scrypt|base|oauth|tls|ssl|cve|fips|nist)-?\d{1,4}[a-z]{0,3}(?:[-_./+].*)?
    | (?:md|hs|rs|es|x)-?\d{1,3} | v\d{1,4}(?:[.-].*)?
    | \d+(?:-\d+)?-?(?:fa|factor|chars?|characters?|bytes?|bits?|seconds?|min|minutes?|hours?|days?|times?))"""
_CLASS_CHANGE = r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[a-z0-9])|(?<=[0-9])(?=[A-Za-z])"
# "user-supplied", "docs/setup.md", "/etc/app", "NotFound", "HTTPError", "n/a", "7.30".
_WORD = r"(?:(?=[A-Za-z'\x80-\xff]) [A-Z]*+ [a-z'\x80-\xff]*+ (?:[A-Z][a-z]{2,}+)*+ | [0-9]++)"
_WORDS = rf"/?{_WORD} (?:[._/:-]++{_WORD})*+"
_ENDS_OF_SENTENCES = ".,:;!?"


def class_changes(text: str) -> int:
    """How often *text* changes between small letters, capitals and digits; random text does so often."""
    return len(compiled(_CLASS_CHANGE).findall(text))


def looks_random(text: str) -> bool:
    """Whether at least a quarter of the characters of *text* are of another kind than the one before."""
    return class_changes(text) * 4 >= len(text)


def is_ordinary(value: str, label: str) -> bool:
    """Whether *value*, after a name with *label*, can be a word of a sentence and not a secret."""
    word = value.rstrip(_ENDS_OF_SENTENCES)
    is_password = label in PASSWORDS
    if len(word) < (_FEWEST_OF_A_PASSWORD if is_password else _FEWEST):
        return True
    if len(word) <= _LONGEST_TECHNICAL and compiled(_TECHNICAL, ANY_CASE_VERBOSE).fullmatch(word):
        return True
    if compiled(_DIGIT_AND_LETTER).match(word):
        return False
    return not is_password or bool(compiled(_WORDS, EXACT_VERBOSE).fullmatch(word))
