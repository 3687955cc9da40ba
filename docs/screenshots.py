"""Take the pictures of the docs: `python docs/screenshots.py results/<run>`, of a fresh `make bench`.

Needs chromium. Writes report.png, report-dark.png, report-narrow.png and terminal.png beside itself, and with --ui
locust-ui.png, for which it loads a server for half a minute. Look at them before they are committed.
"""

from __future__ import annotations

import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, expect, sync_playwright
from rich.console import Console
from rich.terminal_theme import MONOKAI

from sgibench import report
from sgibench.model import Run
from sgibench.report import terminal
from sgibench.results import store

HERE = Path(__file__).parent
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--no-first-run")
COLOURS = 128
"""Of each picture: as good to look at, at a third of the size."""
SHOTS: tuple[tuple[str, int, int, Literal["light", "dark"]], ...] = (
    ("report", 1280, 2300, "light"),
    ("report-dark", 1280, 2300, "dark"),
    ("report-narrow", 360, 1400, "light"),
)


def main(run: str, *, ui: bool = False) -> None:
    """Make the page of a run in a scratch folder and photograph it; with `ui`, the web UI as well."""
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        measured = store.read_run(Path(run))
        page_file = report.write(measured, Path(scratch))
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=list(ARGUMENTS))
        for name, width, height, scheme in SHOTS:
            page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
            page.goto(page_file.as_uri())
            page.screenshot(path=HERE / f"{name}.png")
        photograph_terminal(browser, measured, Path(scratch) / "terminal.html")
        if ui:
            photograph_ui(browser, Path(scratch))
        browser.close()
    for picture in HERE.glob("*.png"):
        Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True)


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


def photograph_ui(browser: Browser, folder: Path) -> None:
    """Start the web UI, load the server that its form begins with, and photograph what it shows of it."""
    words = [sys.executable, "-m", "sgibench.cli", "ui"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, text=True) as ui:
        try:
            said = ui.stdout.readline() if ui.stdout else ""
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(re.findall(r"http://\S+", said)[0])
            page.get_by_role("button", name="Start", exact=True).click()
            expect(page.locator("#sgi-bar")).to_contain_text("measuring", timeout=120_000)
            page.get_by_role("tab", name="Server", exact=True).click()
            page.wait_for_timeout(25_000)
            page.screenshot(path=HERE / "locust-ui.png")
            page.get_by_role("button", name="Stop", exact=True).click()
            expect(page.locator("#sgi-bar .sgi-phase")).to_have_text("idle", timeout=60_000)
        finally:
            ui.send_signal(signal.SIGINT)


if __name__ == "__main__":
    main(sys.argv[1], ui="--ui" in sys.argv)
