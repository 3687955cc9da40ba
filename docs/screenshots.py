"""Take the screenshots of the docs from a measured run: `python docs/screenshots.py results/<run>`.

Needs chromium. Writes report.png, report-dark.png, report-narrow.png and terminal.png beside itself; look at them.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI

from sgibench import report
from sgibench.model import Run
from sgibench.report import terminal
from sgibench.results import store

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
        measured = store.read_run(Path(run))
        page_file = report.write(measured, Path(scratch))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        for name, width, height, scheme in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(page_file.as_uri())
            page.screenshot(path=HERE / f"{name}.png")
        photograph_terminal(browser, measured, Path(scratch) / "terminal.html")
        browser.close()


TERMINAL = """<!doctype html><meta charset="utf-8"><body style="margin:0;background:#0c0c0c;display:inline-block">
<pre style="margin:0;padding:18px 22px;font:14px/1.3 'DejaVu Sans Mono',monospace;color:#d9d9d9">{code}</pre>
"""


def photograph_terminal(browser: Browser, run: Run, scratch: Path) -> None:
    """Print the ranking as `sgibench run` does on a terminal of 80 columns, and photograph it."""
    console = Console(record=True, width=80, force_terminal=True, color_system="truecolor", file=io.StringIO())
    terminal.ranking(run, console)
    scratch.write_text(console.export_html(theme=MONOKAI, inline_styles=True, code_format=TERMINAL), encoding="utf-8")
    page = browser.new_page(viewport={"width": 760, "height": 400}, device_scale_factor=2)
    page.goto(scratch.as_uri())
    page.locator("body").screenshot(path=HERE / "terminal.png")


if __name__ == "__main__":
    main(sys.argv[1])
