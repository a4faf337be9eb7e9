"""A key for one use, derived from another by HKDF-SHA256 (RFC 5869): to encrypt, or to compute a blind index.

There is no salt: it would have to be stored beside every token, and the key is uniformly random already (section 3.1).
The info string separates the uses (section 3.2): a label with a version, and the context.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from keyring_core.errors import KeyConfigError
from keyring_core.key_text import KEY_BYTES

TOKENS = b"keyring-core bind v1\0"
BLIND_INDEX = b"keyring-core blind index v1\0"


def derive_key(raw: bytes, context: str, label: bytes = TOKENS) -> bytes:
    """The 32 bytes of the key for *context* under the key *raw*, for the use *label*. Errors as for `check_context`."""
    info = label + check_context(context)
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=info).derive(raw)


def check_context(context: str) -> bytes:
    """The bytes of *context*, the name of one use such as `users.api_key`. A context is not secret.

    Raises KeyConfigError if it is empty, begins or ends with a blank, or has no UTF-8 form; TypeError if it is no str.
    """
    if not isinstance(context, str):
        raise TypeError(f"a context is str, not {type(context).__name__}")
    if not context:
        raise KeyConfigError('the context is empty; name the one use of these tokens, such as "users.api_key"')
    if context != context.strip():
        raise KeyConfigError(f"the context {context!r} begins or ends with a blank, which nobody would see; drop it")
    fault = None
    try:
        return context.encode("utf-8")
    except UnicodeEncodeError:
        fault = f"the context {context!r} has a lone surrogate and so no UTF-8 form"
    raise KeyConfigError(fault)
