"""Draws docs/how-to/report.png: the page of `keyring-rotate report` in light, and its second half in dark.

`python .ci/draw_report.py` opens a page with facts from the tests in Debian's Chromium.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "docs" / "how-to" / "report.png"
WIDTH, HEIGHT = 1000, 1860
SHOWN = 600
"""How wide each half is in the picture."""


def main() -> None:
    """Writes the picture."""
    sys.path.insert(0, str(ROOT))
    from rotation.output.html.page import page  # noqa: PLC0415 - behind the path
    from tests.output.html.samples import FULL  # noqa: PLC0415

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "page.html"
        file.write_text(page(FULL), "utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        shots = [_shot(browser, file, scheme, scroll) for scheme, scroll in (("light", 0), ("dark", HEIGHT - 100))]
        images = "".join(f"<img src='{shot.as_uri()}' width='{SHOWN}' style='display:block'>" for shot in shots)
        file.write_text(f"<body style='margin:0;display:flex'>{images}</body>")
        tab = browser.new_page(viewport={"width": 2 * SHOWN, "height": HEIGHT * SHOWN // WIDTH})
        tab.goto(file.as_uri())
        tab.screenshot(path=PICTURE)
        browser.close()
    print(f"wrote {PICTURE.relative_to(ROOT)}")


def _shot(browser: Any, file: Path, scheme: str, scroll: int) -> Path:
    tab = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
    tab.goto(file.as_uri())
    tab.evaluate(f"window.scrollTo(0, {scroll})")
    shot = file.with_name(f"{scheme}.png")
    tab.screenshot(path=shot)
    return shot


if __name__ == "__main__":
    main()
