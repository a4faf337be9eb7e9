"""Cells as other packages write them, made with `cryptography` as those packages do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

TIME = 1_700_000_000
SECRET = b"a test secret of nobody"


def _padded(text: bytes) -> bytes:
    padder = PKCS7(128).padder()
    return padder.update(text) + padder.finalize()


def _cbc(key: bytes, iv: bytes, padded: bytes) -> bytes:
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    return encryptor.update(padded) + encryptor.finalize()


def fernet256(text: bytes) -> bytes:
    """Raw bytes of Fernet's frame around AES-256: AWX and django-cryptography have it."""
    key, iv = hashlib.sha512(SECRET).digest(), os.urandom(16)
    signed = b"\x80" + struct.pack(">Q", TIME) + iv + _cbc(key[32:], iv, _padded(text))
    return signed + hmac.digest(key[:32], signed, "sha256")


def awx(text: bytes) -> str:
    """A field of `main_credential.inputs`."""
    token = base64.urlsafe_b64encode(fernet256(text))
    return f"$encrypted$UTF8$AESCBC${base64.b64encode(token).decode()}"


def awx_fernet256(text: bytes) -> str:
    """A column of the AAP gateway."""
    return f"$encrypted$fernet-256${base64.urlsafe_b64encode(fernet256(text)).decode()}"


def aes_engine(text: bytes) -> str:
    """sqlalchemy-utils' default: CBC under a fixed IV, the text filled up with stars."""
    key = hashlib.sha256(SECRET).digest()
    return base64.b64encode(_cbc(key, key[:16], text + b"*" * (-len(text) % 16))).decode()


def aes_gcm_engine(text: bytes) -> str:
    """sqlalchemy-utils' other engine: nonce, tag, data."""
    nonce, sealed = gcm(text)[:12], gcm(text)[12:]
    return base64.b64encode(nonce + sealed[-16:] + sealed[:-16]).decode()


def gcm(text: bytes) -> bytes:
    """MLflow's envelope, raw: nonce, data, tag."""
    nonce = os.urandom(12)
    return nonce + AESGCM(hashlib.sha256(SECRET).digest()).encrypt(nonce, text, None)
