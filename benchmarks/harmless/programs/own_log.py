"""structlog and logging: a service's own events on the console and as JSON."""

import hashlib
import json
import random
import uuid

import structlog

source = random.Random(7)
EVENTS = """
auth.login_failed reason=wrong_password|auth.token_refreshed token_type=Bearer|auth.password_changed policy=strict
auth.token_expired age_seconds=3601|secrets.rotated store=vault|session.started cookie_policy=lax
key.promoted state=primary|key.staged state=staged|token.rejected error=InvalidToken|password.rehashed hasher=argon2id
oauth.client_created grant=client_credentials|otp.sent channel=sms|csrf.failed reason=missing_token
secret.read outcome=denied|apikey.listed outcome=ok|jwt.verified alg=ES256|passkey.registered outcome=ok
"""
console = structlog.dev.ConsoleRenderer(colors=False)
for line in EVENTS.replace("|", "\n").strip().splitlines():
    event, extra = line.split(" ")
    for render in (console, structlog.processors.JSONRenderer(), structlog.processors.LogfmtRenderer()):
        for _ in range(5):
            name, _, value = extra.partition("=")
            fields = {
                "event": event,
                name: value,
                "timestamp": f"2026-11-{source.randrange(10, 29)}T10:{source.randrange(10, 60)}:07.{source.randrange(10**6):06d}Z",
                "request_id": str(uuid.UUID(int=source.getrandbits(128))),
                "trace_id": f"{source.getrandbits(128):032x}",
                "user_id": source.randrange(9000),
                "key_id": f"{source.getrandbits(32):08x}",
                "body_sha256": hashlib.sha256(source.randbytes(4)).hexdigest(),
                "tokens": source.randrange(4000),
                "secret_name": source.choice(["db/primary", "smtp", "prod/oauth-client-7"]),
            }
            print(render(None, "info", fields))
    print(json.dumps({"msg": event, "password": None, "token": "", "tokens": [], "secret": False}))
