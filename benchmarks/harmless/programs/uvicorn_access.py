"""uvicorn: its own and its access log, with errors of a FastAPI application."""

import logging
import sys
import threading
import time
import urllib.error
import urllib.request

import uvicorn
from fastapi import FastAPI

application = FastAPI()


@application.post("/token")
async def token(form: str = "") -> dict[str, str]:
    return {"token_type": "bearer"}


@application.get("/fails/{name}")
async def fails(name: str) -> None:
    access_token = await token(form=name)
    raise PermissionError(f"token of {name} has no scope secrets:read, only {sorted(access_token)}")


logging.basicConfig(stream=sys.stdout, level=logging.DEBUG)
server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="trace"))
threading.Thread(target=server.run, daemon=True).start()
while not server.started:
    time.sleep(0.05)
port = server.servers[0].sockets[0].getsockname()[1]
NAMES = (
    "reset-password forgot-password token/refresh oauth/token api-keys secrets login?next=/token password?lang=en"
    " .well-known/jwks.json auth/password-reset/confirm v1/tokens/12/rotate fails/bob fails/alice docs/secret-rotation"
    " change-password users/me/password update-password?source=mail api/reset-password/sent one-time-password"
)
for name in NAMES.split():
    for method in ("GET", "POST", "DELETE"):
        try:
            urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/{name}", method=method)).read()
        except urllib.error.HTTPError:
            pass
server.should_exit = True
time.sleep(0.5)
