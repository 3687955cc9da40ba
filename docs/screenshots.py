"""Take the screenshots of the docs from a measured run: `python docs/screenshots.py results/<run>`.

Needs chromium. Writes docs/report.png, docs/report-dark.png and docs/report-narrow.png; look at them.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

from sgibench import report, store

HERE = Path(__file__).parent
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run")
SHOTS: tuple[tuple[str, int, int, Literal["light", "dark"]], ...] = (
    ("report", 1280, 2300, "light"),
    ("report-dark", 1280, 2300, "dark"),
    ("report-narrow", 360, 1400, "light"),
)


def main(run: str) -> None:
    """Make the page of a run in a scratch folder and photograph it."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        page_file = report.write(store.read_run(Path(run)), Path(scratch))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        for name, width, height, scheme in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(page_file.as_uri())
            page.screenshot(path=HERE / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
