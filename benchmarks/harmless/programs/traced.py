"""What `python -m trace` follows, line by line."""

import getpass
import hmac
import io
import secrets
import tokenize
from http.cookies import SimpleCookie

from django.conf import settings
from django.contrib.auth.hashers import identify_hasher, make_password
from django.core import signing

settings.configure(SECRET_KEY=secrets.token_hex())
hasher = identify_hasher(make_password(secrets.token_urlsafe()))
signing.loads(signing.dumps({"user": 12}))
hmac.compare_digest(secrets.token_bytes(), secrets.token_bytes())
SimpleCookie("theme=dark; lang=de")
list(tokenize.generate_tokens(io.StringIO("password = None").readline))
getpass.getuser()
