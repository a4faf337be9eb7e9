"""The audit of installed packages: a vulnerability fails, and silence is not taken for a clean result."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.project.documents import ROOT

pytestmark = [pytest.mark.xdist_group("audit"), pytest.mark.uncounted, pytest.mark.long]

verdict = runpy.run_path(str(ROOT / ".ci" / "audit.py"))["verdict"]
NOBODY = "http://127.0.0.1:1/"
"""No server listens on this port."""


@contextmanager
def database(vulnerable: str) -> Iterator[str]:
    """The url of a database, with the protocol of OSV, that knows one vulnerability of the package *vulnerable*."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]
            events = [{"introduced": "0"}, {"fixed": "99"}]
            affected = [{"package": asked, "ranges": [{"type": "ECOSYSTEM", "events": events}]}]
            known = {"id": "EX-1", "summary": "Example", "modified": "2027-01-01T00:00:00Z", "affected": affected}
            body = json.dumps({"vulns": [known]} if asked["name"] == vulnerable else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def audit(url: str, *options: str) -> subprocess.CompletedProcess[str]:
    """The script, with the database at *url*."""
    argv = [sys.executable, str(ROOT / ".ci" / "audit.py"), *options, "--vulnerability-service=osv", "--osv-url", url]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def test_a_known_vulnerability_fails() -> None:
    """Package, version, name and cure are printed, for the environment and for the image; the exit code is 1."""
    with database("click") as url:
        done = audit(url)

    assert done.returncode == 1, done.stdout + done.stderr
    for name in ("environment", "image"):
        assert f"Known vulnerabilities, {name}: 1\n  click " in done.stdout
    assert done.stdout.count(": EX-1, fixed in 99\n") == 2


def test_no_known_vulnerability_passes() -> None:
    """The exit code is 0 if the database was asked and knows none."""
    with database("no-such-package") as url:
        done = audit(url, "--required")

    assert (done.returncode, done.stdout.count(": none\n")) == (0, 2), done.stdout + done.stderr


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--required",), 1)], ids=["goes on", "required"])
def test_a_database_out_of_reach_is_reported(options: tuple[str, ...], code: int) -> None:
    """Without a network the audit says that it did not look; with --required it fails."""
    done = audit(NOBODY, *options)

    assert (done.returncode, done.stdout.count("NOT LOOKED UP")) == (code, 2), done.stdout + done.stderr


def test_an_index_without_vulnerabilities_is_no_database() -> None:
    """A mirror that answers "not found" for every package has said nothing about them."""
    assert verdict([{"name": "click", "skip_reason": "not found"}]) == (False, [])
    assert verdict([{"name": "click", "skip_reason": "not found"}, {"name": "rich", "vulns": []}]) == (True, [])
