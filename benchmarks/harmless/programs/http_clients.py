"""urllib3, requests and http.server: their logs of requests."""

import http.server
import logging
import sys
import threading

import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(503 if "flaky" in self.path else 404)

    do_POST = do_GET


logging.basicConfig(stream=sys.stdout, level=logging.DEBUG, format="%(asctime)s %(name)s %(levelname)s %(message)s")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
PATHS = (
    "reset-password forgot-password/ oauth/token?grant_type=client_credentials token/introspect v1/secrets/db/metadata"
    " flaky/password-policy flaky/token realms/main/protocol/openid-connect/token users/12/password?notify=true"
    " .well-known/openid-configuration api/v4/personal_access_tokens?per_page=50 password/strength?length=12"
    " auth/reset-password/sent static/change-password.css secrets?prefix=prod/ auth/token/lookup-self"
)
session = requests.Session()
session.mount("http://", HTTPAdapter(max_retries=Retry(2, status_forcelist=[503], backoff_factor=0)))
for path in PATHS.split():
    for method in ("GET", "POST"):
        try:
            session.request(method, f"http://127.0.0.1:{server.server_port}/{path}", timeout=5)
        except requests.RequestException as error:
            print(repr(error))
try:
    requests.post("http://127.0.0.1:9/oauth/token", timeout=1)
except requests.RequestException:
    logging.getLogger("svc").exception("cannot get a token")
