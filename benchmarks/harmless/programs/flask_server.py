"""Flask and Werkzeug: the server's log, with errors."""

import logging
import sys
import threading
import urllib.error
import urllib.request

from flask import Flask, abort, session
from werkzeug.serving import make_server

application = Flask("accounts")
logging.basicConfig(stream=sys.stdout, level=logging.DEBUG)
logging.getLogger("werkzeug").addHandler(logging.StreamHandler(sys.stdout))


@application.get("/login")
def login() -> str:
    application.logger.warning("login failed for %s: wrong password, attempt %d of 5", "bob", 3)
    abort(401, "the session token has expired")


@application.get("/me")
def me() -> str:
    return session["csrf_token"]


@application.get("/token")
def token() -> str:
    secret = application.config["JWT_SECRET_KEY_FILE"]
    return secret.token


server = make_server("127.0.0.1", 0, application)
threading.Thread(target=server.serve_forever, daemon=True).start()
NAMES = (
    "login me token reset-password forgot-password/sent api/tokens?limit=5 password_reset oauth2/token static/otp.js"
)
for name in NAMES.split() * 2:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/{name}").read()
    except urllib.error.HTTPError as error:
        print(error.code, error.read().decode())
server.shutdown()
