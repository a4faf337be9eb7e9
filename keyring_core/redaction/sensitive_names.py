"""Sensitive names, and the walk over an event that masks their values; everything else keeps its identity and type.

The last whole words of a name decide: ``db_password`` is sensitive, ``password_policy`` is not.
"""

from __future__ import annotations

import copy
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keyring_core.redaction.spans import MASK_START, mask_of

# Types whose values are never masked by name: they show a number or nothing.
PLAIN = frozenset({int, float, bool, complex, type(None)})
# The modules of others: times and exact numbers.
PLAIN_MODULES = frozenset({"datetime", "decimal", "fractions"})

# The last word of a name, and the label of its value's mask.
_WORDS = {
    **dict.fromkeys(("password", "passwords", "passwd", "passcode", "pwd", "pw"), "password"),
    # Written as one word by libpq, LDAP, Redis, keytool and others.
    **dict.fromkeys(("bindpw", "rootpw", "dbpw", "userpw", "adminpw", "keypw", "psk"), "password"),
    **dict.fromkeys(("dbpass", "rootpass", "userpass", "adminpass", "storepass", "keypass", "sshpass"), "password"),
    **dict.fromkeys(("requirepass", "masterauth"), "password"),
    "passphrase": "passphrase",
    **dict.fromkeys(("secret", "secrets"), "secret"),
    **dict.fromkeys(("token", "tokens", "jwt", "bearer"), "token"),
    **dict.fromkeys(("credential", "credentials", "creds"), "credentials"),
    "authorization": "authorization",
    **dict.fromkeys(("cookie", "cookies"), "cookie"),
    **dict.fromkeys(("sessionid", "jsessionid", "phpsessid"), "session"),
    **dict.fromkeys(("apikey", "apikeys"), "api-key"),
    **dict.fromkeys(("privatekey", "secretkey", "accesskey", "accountkey", "sharedaccesskey", "authkey"), "key"),
    "otp": "otp",
    "cvv": "cvv",
    **dict.fromkeys(("plaintext", "cleartext"), "plaintext"),
}
# The last two words, if the last alone is not enough: ``primary key`` and ``cache key`` are not secret.
KINDS_OF_KEYS = frozenset(
    """
    private secret access encryption encrypt decryption signing signature sign auth master fernet account shared
    symmetric aes hmac session client server root license storage crypto cipher service preshared unseal recovery api
    previous staged
    """.split()  # noqa: SIM905 - as in encodings.py
)
_BEFORE_A_NOUN = (
    "db user root admin smtp ftp mysql redis login old new mail email default postgres postgresql pg mongo mongodb "
    "rabbitmq proxy ssh become sudo ldap bind imap sql vault keystore truststore"
)
_PAIRS: dict[tuple[str, ...], str] = {
    **{(kind, noun): "key" for kind in KINDS_OF_KEYS for noun in ("key", "keys")},
    **{("api", noun): "api-key" for noun in ("key", "keys", "secret", "token")},
    **{(kind, "pass"): "password" for kind in _BEFORE_A_NOUN.split()},
    **{(kind, "auth"): "authorization" for kind in ("basic", "http", "proxy")},
    ("password", "confirmation"): "password",
    ("seed", "phrase"): "passphrase",
    ("connection", "string"): "connection-string",
    ("secret", "string"): "secret",
    ("code", "verifier"): "code",
    ("device", "code"): "code",
    ("connect", "sid"): "session",
    ("client", "assertion"): "assertion",
    ("saml", "response"): "assertion",
    ("pass",): "password",  # in longer names it is a verb or a noun of another kind
}
# The last three, where two are not enough: Rails' SECRET_KEY_BASE, ASP.NET_SessionId.
_TRIPLES: dict[tuple[str, ...], str] = {("secret", "key", "base"): "key", ("net", "session", "id"): "session"}
# Of environment variables, as images define them: RABBITMQ_DEFAULT_PASS, NEO4J_AUTH.
_OF_VARIABLES = {"pass": "password", "auth": "authorization"}
# systemd's LoadCredential=name:/path, .NET's PublicKeyToken.
_NO_SECRETS = frozenset({("load", "credential"), ("import", "credential"), ("public", "key", "token")})
# Annotations that name a digest of a secret: checksum/secret.
DIGEST_OF = r"(?i:checksum|digest|hash|sha256)/"
_NAME_OF_DIGEST = re.compile(rf"{DIGEST_OF}[\w.-]*\Z")
_NAME = re.compile(r"[\w.:-]{1,256}")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SEQUENCES = (list, tuple, set, frozenset, deque)


class Names:
    """Gives the label to mask a name's value with, or None; caches the answers."""

    __slots__ = ("_known", "own")

    def __init__(self, own: Iterable[str] = ()) -> None:
        self.own = tuple(tuple(words(name)) for name in own)
        self._known: dict[str, str | None] = {}

    def label(self, name: str) -> str | None:
        """The label for the value of *name*: ``password`` for ``db_password``, None for ``password_policy``."""
        name = name[-256:]
        try:
            return self._known[name]
        except KeyError:
            pass
        if len(self._known) >= 4096:  # names can come from outside: they must not fill the memory
            self._known = {}
        answer = self._known[name] = self._decide(name)
        return answer

    def touch(self, event: Mapping[str, Any]) -> bool:
        """True if a value of *event* has to be checked: it is no plain text or number, or its name is sensitive."""
        known = self._known
        for name, value in event.items():
            kind = type(value)
            if kind is str:
                # An unknown name counts as sensitive; the walk then looks it up.
                if known.get(name, "") is not None:
                    return True
            elif kind not in PLAIN:
                return True
        return False

    def _decide(self, name: str) -> str | None:
        parts = words(name)
        while parts and parts[-1].isdigit():  # password2, token_1
            parts.pop()
        if not parts:
            return None
        if any(parts[-len(own) :] == list(own) for own in self.own):
            return "value"
        if "/" in name and _NAME_OF_DIGEST.search(name):
            return None
        last, two, three = parts[-1], tuple(parts[-2:]), tuple(parts[-3:])
        if two in _NO_SECRETS or three in _NO_SECRETS:
            return None
        label = _WORDS.get(last) or _PAIRS.get(two) or _TRIPLES.get(three)
        if label is None and len(parts) > 1 and name.isupper():
            label = _OF_VARIABLES.get(last)
        # A last word that is written as one with others: sslpassword, csrfmiddlewaretoken, clientsecret.
        return label or next((end for end in ("password", "token", "secret") if last.endswith(end)), None)


def words(name: str) -> list[str]:
    """The words of *name* in lower case: ``dbPassword``, ``DB_PASSWORD`` and ``db-password`` are db, password."""
    return [word.lower() for word in _WORD.findall(name)]


def _keep(value: Any) -> Any:
    return value


class Walk:
    """A walk over one event. *leaf* replaces values without a sensitive name: text, bytes, any object."""

    __slots__ = ("_leaf", "_left", "_names", "_path")

    def __init__(self, names: Names, leaf: Callable[[Any], Any] = _keep) -> None:
        self._names = names
        self._leaf = leaf
        self._left = 50_000
        self._path: set[int] = set()

    def value(self, value: Any, hidden: str | None = None, name: str = "") -> Any:
        """*value*, which has this *name*, or what is shown in its place. *hidden* is the label of a sensitive name."""
        kind = type(value)
        if kind in PLAIN:
            # A large number can be a secret's digits.
            return self._leaf(value) if kind is int and value > 9_999_999 else value
        if kind is not str and isinstance(value, Mapping):
            return self._guarded(self.mapping, value, hidden)
        if kind is not str and isinstance(value, _SEQUENCES):
            return self._guarded(self._sequence, value, hidden, name)
        if hidden is None:
            shown = self._leaf(value)
            if type(value) is str and shown is not value and mask_of("fernet-key") in shown:
                # A digest or a public key looks like one, and stays if the name before it says what it is, as in text.
                named = f"{name}: {value}"
                shown = value if self._leaf(named) == named else shown
            return shown
        if kind.__module__ in PLAIN_MODULES or (kind is str and (not value or value.startswith(MASK_START))):
            return value
        return mask_of(hidden)

    def _guarded(self, walk: Callable[..., Any], value: Any, *context: str | None) -> Any:
        """*walk* on *value*, unless it is circular, too deep or too large."""
        if id(value) in self._path:
            return "[circular]"
        self._left -= len(value)
        if len(self._path) >= 60 or self._left < 0:
            return f"[{type(value).__name__} not shown: nested too deep or too large]"
        self._path.add(id(value))
        try:
            return walk(value, *context)
        finally:
            self._path.discard(id(value))

    def mapping(self, mapping: Mapping[Any, Any], hidden: str | None = None) -> Mapping[Any, Any]:
        """*mapping* itself if nothing had to be masked, otherwise a copy in the same order."""
        changed: dict[Any, Any] | None = None
        label_of = self._names.label
        for key, item in mapping.items():
            name = key if type(key) is str else _text(key)
            shown = self.value(item, hidden or label_of(name), name)
            if shown is not item:
                if changed is None:
                    changed = dict(mapping.items())
                changed[key] = shown
        if self._leaf is not _keep:
            # A key can be a secret too.
            keys = [key if type(key) in PLAIN else self._leaf(key) for key in mapping]
            if not all(shown is key for shown, key in zip(keys, mapping, strict=True)):
                changed = dict(zip(keys, (mapping if changed is None else changed).values(), strict=True))
        return mapping if changed is None else _mapping_like(mapping, changed)

    def _sequence(self, sequence: Any, hidden: str | None, name: str) -> Any:
        items = list(sequence)
        is_pair = len(items) == 2 and _is_pair(_text(items[0]), items[1])
        if is_pair and isinstance(items[0], str):
            name = items[0]
        # The labels of items after a sensitive name: ("authorization", "Basic ..."), ["--password", "..."].
        labels = [hidden] * len(items)
        for place, before in enumerate(map(_text, items[:-1]), 1):
            if before.startswith("--") or is_pair:
                labels[place] = hidden or self._names.label(before)
        shown = [self.value(item, label, name) for item, label in zip(items, labels, strict=True)]
        if not all(new is old for new, old in zip(shown, items, strict=True)):
            return _like(sequence, shown)
        if self._leaf is _keep or len(items) < 8 or not all(type(item) is int for item in items):
            return sequence
        # Its numbers can be a secret's bytes.
        text = ", ".join(map(str, items))
        masked = self._leaf(text)
        return sequence if masked == text else masked


def _text(key: Any) -> str:
    """A dict key or list item as a name; empty if it is no text."""
    if isinstance(key, str):
        return str.__str__(key)
    return key.decode("latin-1") if isinstance(key, bytes) else ""


def _is_pair(name: str, item: Any) -> bool:
    """True if *name* can be a name, not a sentence or path, and *item* its value, not another name."""
    if not _NAME.fullmatch(name):
        return False
    word = item.replace(".", "_") if isinstance(item, str) else ""
    return not (word.isidentifier() and word.islower() and not any(map(str.isdigit, word)))


def _like(original: Any, items: list[Any]) -> Any:
    """*items* in the type of *original*, if that type takes them."""
    make = getattr(original, "_make", type(original))  # of a named tuple
    try:
        return make(items)
    except Exception:  # an item became unhashable, or the type has its own constructor
        return items


def _mapping_like(original: Mapping[Any, Any], items: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """*items* in the type of *original*, if that type takes them as they are; otherwise a dict."""
    kind: Any = type(original)
    base = OrderedDict if isinstance(original, OrderedDict) else dict
    try:
        if not isinstance(original, dict):
            # Not a copy, which may share with *original* what holds the items.
            like = kind(items)
        elif kind.__setitem__ is base.__setitem__ and (like := copy.copy(original)) is not original:
            base.clear(like)
            base.update(like, items)
        else:  # a write may have an effect, such as a note that it was changed
            return items
        return like if type(like) is kind and dict(like) == items else items
    except Exception:
        return items
