"""Sensitive names. The last whole words decide: ``db_password`` is sensitive, ``password_policy`` is not."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

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
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


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
