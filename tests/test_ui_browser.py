"""The web UI in a real browser: what a person does with it from the form to the saved run."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.requirements_for_tests import need_program
from tests.test_database_work import need_postgresql
from tests.ui_process import Ui, ui_process

ARGUMENTS = "--no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ui]:
    need_program("chromium", "apt-get install chromium")
    with ui_process(tmp_path_factory.mktemp("ui"), "--connections", "8") as running:
        yield running


@pytest.fixture(scope="module")
def browser(ui: Ui) -> Iterator[Browser]:
    del ui  # it is asked for first, so that a machine without chromium skips
    path = need_program("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=[*ARGUMENTS.split(), "--no-first-run"])
        yield opened
        opened.close()


@contextmanager
def watched_page(browser: Browser, own: str) -> Iterator[Page]:
    """A page that may neither complain on its console nor ask anything of another address."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(PATIENCE_MS)
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type in {"error", "warning"} else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda sent: None if sent.url.startswith((own, "data:")) else complaints.append(sent.url))
    yield page
    page.close()
    assert complaints == []


def requests_shown(page: Page) -> int:
    """Requests in the last row of Locust's statistics."""
    row = page.locator("main table tbody tr").last
    return int(row.locator("td").nth(2).inner_text().replace(",", "") or 0)


def start(page: Page, server: str) -> None:
    """Choose a server in the form, and start."""
    page.locator("form select[name=server]").select_option(server)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#sgi-bar")).to_contain_text("measuring", timeout=PATIENCE_MS)
    expect(page.locator("#sgi-bar")).to_contain_text(server)


def rises(page: Page) -> None:
    """See Locust count more and more requests."""
    page.get_by_role("tab", name="Statistics").click()
    expect(page.locator("main table tbody tr").nth(1)).to_be_visible()
    before = requests_shown(page)
    expect(page.locator("main table tbody tr").last.locator("td").nth(2)).not_to_have_text(
        str(before), timeout=PATIENCE_MS
    )
    assert requests_shown(page) > before


def stop(page: Page) -> None:
    """Stop, and wait until the server is gone."""
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#sgi-bar .sgi-phase")).to_have_text("idle", timeout=PATIENCE_MS)


def test_choose_start_watch_stop_choose_another_on_a_database_and_save(ui: Ui, browser: Browser) -> None:
    need_postgresql()
    with watched_page(browser, ui.url) as page:
        page.goto(ui.url)
        expect(page.locator("form select[name=server]")).to_be_visible()
        expect(page.locator("form input[name=host]")).to_be_hidden()
        start(page, "uvicorn-httptools")
        rises(page)

        page.get_by_role("tab", name="Server", exact=True).click()
        panel = page.locator("#sgi-panel")
        expect(panel.locator("figure", has_text="Server CPU per request")).to_contain_text(re.compile(r"\d µs"))
        expect(panel.locator("figure", has_text="Memory of all its processes")).to_contain_text("MiB")
        expect(panel).to_contain_text("uvicorn --host=127.0.0.1")
        page.get_by_role("tab", name="Generator").click()
        expect(panel).to_contain_text("8 of 8")
        page.get_by_role("tab", name="Doubts").click()
        expect(panel).to_contain_text("Reasons not to believe")
        page.get_by_role("tab", name="Statistics").click()
        expect(panel).to_be_hidden()
        stop(page)

        page.get_by_role("button", name="New").click()
        page.locator("form select[name=database]").select_option("postgresql")
        page.locator("form select[name=scenario]").select_option("crud")
        start(page, "waitress")
        page.get_by_role("tab", name="Server", exact=True).click()
        expect(panel).to_contain_text(re.compile(r"PostgreSQL [0-9.]+"))
        expect(panel).to_contain_text(re.compile(r"a private instance; CPU per request [0-9.]+ [µm]s"))
        expect(panel).to_contain_text("connections opened / at once / pool: 8 / 8 / 8")
        stop(page)
        page.get_by_role("tab", name="Tests").click()
        rows = panel.locator("tbody tr")
        expect(rows).to_have_count(2)
        expect(rows.nth(0)).to_contain_text("uvicorn-httptools")
        expect(rows.nth(1)).to_contain_text("waitress")
        expect(rows.nth(1)).to_contain_text("wsgi_plain+postgresql")
        expect(rows.nth(1)).to_contain_text("crud")

        panel.get_by_role("button", name="Save 2 tests as a run").click()
        with page.expect_popup() as opened:
            panel.get_by_role("link", name="open its report").click()
        expect(opened.value.locator("body")).to_contain_text("waitress")


def test_a_wrong_choice_is_explained_in_the_form(ui: Ui, browser: Browser) -> None:
    with watched_page(browser, ui.url) as page:
        page.goto(ui.url)
        if page.get_by_role("button", name="New").is_visible():
            page.get_by_role("button", name="New").click()
        page.locator("form select[name=server]").select_option("waitress")
        page.locator("form select[name=app]").select_option("asgi_plain")
        page.get_by_role("button", name="Start", exact=True).click()
        expect(page.get_by_role("alert")).to_contain_text("waitress serves WSGI apps, and asgi_plain is ASGI")


ATTACK = """<!doctype html><title>elsewhere</title><form method="post" action="{url}swarm">
<input name="user_count" value="8"><input name="spawn_rate" value="8"></form><script>
const body = new URLSearchParams({{user_count: 8, spawn_rate: 8}});
const ways = [{{method: "POST", mode: "no-cors", body}}, {{method: "POST", body}}, {{mode: "no-cors"}}];
Promise.allSettled(ways.map((way) => fetch("{url}swarm", way))).then(async (all) => {{
  const read = await fetch("{url}sgibench/state").then((answer) => answer.text(), () => "refused");
  document.title = all.map((one) => one.status).join(" ") + " " + read;
}});
</script>"""


@contextmanager
def foreign_page(folder: Path, html: str) -> Iterator[str]:
    """Serve a page on another port of this machine, which is another origin."""
    (folder / "index.html").write_text(html, encoding="utf-8")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(folder))  # type: ignore[arg-type]  # handed through

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def test_a_page_of_another_origin_can_neither_start_a_load_nor_read_anything(
    ui: Ui, browser: Browser, tmp_path: Path
) -> None:
    before = ui.state["tests"]
    with foreign_page(tmp_path, ATTACK.format(url=ui.url)) as elsewhere:
        page = browser.new_page()
        page.goto(elsewhere)
        page.wait_for_function("document.title.includes('refused')", timeout=PATIENCE_MS)
        page.locator("form").evaluate("(form) => form.submit()")
        expect(page.locator("body")).to_contain_text("answers only pages of its own address")
        page.close()
    state = ui.state
    assert state["phase"] == "idle"
    assert state["tests"] == before
    assert len(ui.descendants()) == 2  # the load process, and the guard before it
