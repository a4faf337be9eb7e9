"""Which database a target's url leads to, as a digest that may travel and be written down."""

from __future__ import annotations

from hashlib import sha256

import sqlalchemy as sa

from rotation.model.targets import Target

SECRET_OPTIONS = ("password", "passwd", "sslpassword", "ssl_key_password")


def database_digest(target: Target) -> str:
    """Where the url leads. Its password may differ from machine to machine, and must not travel, even as a digest."""
    url = sa.make_url(target.url).set(password=None).difference_update_query(SECRET_OPTIONS)
    return sha256(str(url).encode("utf-8", "surrogatepass")).hexdigest()
