"""The report in a real browser: sort, filter, hover, print, dark, narrow, without JavaScript, and for everyone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from sgibench import bench, report
from sgibench.engine.progress import Silent
from sgibench.results import store
from sgibench.stats.runs import compare_runs
from tests.requirements_for_tests import need_program
from tests.results_maker import QUICK, Contestant, Making, hostile_run, make_run, write_run

ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--no-first-run",
)  # fmt: skip
BROKEN = Contestant(id="broken-one", interface="wsgi", concurrency="greenlets", cpu_us=9, fails="exited")
LONG = (replace(QUICK[0], id="w" * 180), replace(QUICK[3], id=f"uvicorn-{'x' * 172}"), replace(BROKEN, id="n" * 180))
"""Names as long as the path of an app may be."""
RUNS = {
    "ordinary": make_run(Making(servers=(*QUICK, BROKEN), rates=(200.0, 400.0), samples=12_000)),
    "scaling": make_run(Making(run="20261122-170000-5ca1", scenarios=("json",), settings=((1, 8), (2, 8)), blocks=7)),
    "hostile": hostile_run(),
    "long": make_run(
        Making(run="20261122-180000-1046", servers=LONG, scenarios=("json", "s" * 180), apps=("plain", "y" * 180))
    ),
}
OPEN_ALL = "document.querySelectorAll('details').forEach((detail) => { detail.open = true; })"

Scheme = Literal["light", "dark"]
Open = Callable[..., AbstractContextManager[Page]]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = need_program("chromium", "apt-get install chromium")
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages made the way the product makes them: from folders on disk."""
    base = tmp_path_factory.mktemp("browser")
    runs = {name: store.read_run(write_run(run, base / "results")) for name, run in RUNS.items()}
    runs["real"] = store.read_run(measure(base / "results"))
    found = {name: report.write(run, base / "reports") for name, run in runs.items()}
    old, new = (make_run(Making(run=name, seed=len(name), blocks=6)) for name in ("old", "newer"))
    compared = [compare_runs(old, new, metric=metric) for metric in ("cpu_us_per_request", "p99_us")]
    found["comparison"] = report.write_comparison(old, new, compared, (), base / "reports")
    old, new = (make_run(Making(run=name, seed=len(name), servers=(*LONG, QUICK[5]))) for name in ("n" * 80, "o" * 90))
    compared = [compare_runs(old, new, metric="cpu_us_per_request")]
    found["long comparison"] = report.write_comparison(old, new, compared, (), base / "reports")
    return {**found, "index": report.write_index(base / "reports", [*runs.values(), runs["ordinary"]])}


def measure(results: Path) -> Path:
    """Make a real run: two interfaces, a server that crashes, and answers that come in chunks."""
    asked = bench.Request(
        results=results,
        argv=("sgibench", "run"),
        servers=("uvicorn-httptools", "granian-asgi", "gunicorn-gthread", "faulty-crashes"),
        scenarios=("json", "stream"),
        catalogues=(Path(__file__).parent / "faulty",),
        blocks=2,
        window_s=0.3,
        rate_per_s=0.0,
        retries=0,
        connections=(8,),
        seed=1,
    )
    return bench.run(asked, Silent()).folder


@pytest.fixture
def opened(browser: Browser, pages: dict[str, Path]) -> Open:
    @contextmanager
    def open_page(
        name: str = "ordinary", width: int = 1400, scheme: Scheme = "light", *, javascript: bool = True
    ) -> Iterator[Page]:
        """Open a page; whatever happened in the meantime, the console is silent and the network was left alone."""
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=javascript
        )
        context.set_default_timeout(60_000)
        page = context.new_page()
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(pages[name].as_uri())
        yield page
        context.close()
        assert said == []
        assert {url for url in asked if not url.startswith("data:")} == {pages[name].as_uri()}

    return open_page


def names_in(page: Page, panel: str, interface: str) -> list[str]:
    rows = page.locator(f"#{panel} tr.row[data-interface={interface}]:visible")
    return [row.get_attribute("data-name") or "" for row in rows.all()]


def test_a_click_on_a_head_sorts_inside_each_interface_and_a_second_click_turns_it_round(opened: Open) -> None:
    with opened() as page:
        assert names_in(page, "p0", "asgi")[-1] == "hypercorn-uvloop"
        head = page.locator("#p0 th[data-sort=memory]")
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert names_in(page, "p0", "asgi") == ["uvicorn-httptools", "granian-asgi", "hypercorn-uvloop"]
        assert names_in(page, "p0", "wsgi") == ["waitress", "granian-wsgi", "gunicorn-gthread", "broken-one"]
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert names_in(page, "p0", "wsgi") == ["gunicorn-gthread", "granian-wsgi", "waitress", "broken-one"]


def test_a_page_of_a_real_run_can_be_sorted_filtered_hovered_over_and_read_without_javascript(opened: Open) -> None:
    with opened("real") as page:
        titles = page.locator("#p1 figure h3").all_inner_texts()
        assert any(title.startswith("Streams: time to the first chunk") for title in titles)
        assert names_in(page, "p0", "wsgi") == ["gunicorn-gthread"]
        assert "crashed" in page.locator("#p0 tr.row[data-name=faulty-crashes]").inner_text()
        page.locator("#p0 th[data-sort=name]").get_by_role("button").click()
        assert names_in(page, "p0", "asgi") == ["faulty-crashes", "granian-asgi", "uvicorn-httptools"]
        page.get_by_label("Interface").select_option("wsgi")
        assert names_in(page, "p0", "asgi") == []
        page.get_by_role("button", name="Reset").click()
        bar = page.locator("#p0 figure").first.locator(".mark").first
        bar.scroll_into_view_if_needed()
        bar.hover()
        assert re.match(r"[a-z-]+: [\d.]+ µs", page.locator("#tip").inner_text())
    with opened("real", javascript=False) as page:
        assert page.locator("tr.row:visible").count() == 8
        assert page.locator("svg.plot:visible").count() >= 8


def test_a_choice_ranks_by_latency_places_order_and_all(opened: Open) -> None:
    with opened("ordinary") as page:
        rows = "#p0 table.rank tr.row:not(.failed)"
        places = f"{rows} [data-column=place]"
        before = page.eval_on_selector_all(places, "cells => cells.map((cell) => cell.dataset.value)")
        page.select_option("#ranker", "p99")
        shown = page.eval_on_selector_all(places, "cells => cells.map((cell) => cell.textContent.trim())")
        wanted = page.eval_on_selector_all(f"{rows} [data-column=p99]", "cells => cells.map((c) => c.dataset.place)")
        values = page.eval_on_selector_all(
            "#p0 table.rank tbody",
            "bodies => bodies.map((body) => [...body.querySelectorAll('tr.row:not(.failed) [data-column=p99]')]"
            ".map((cell) => Number(cell.dataset.value)))",
        )
        assert shown == wanted
        assert all(inside == sorted(inside) for inside in values)
        page.select_option("#ranker", "cpu")
        assert page.eval_on_selector_all(places, "cells => cells.map((cell) => cell.dataset.value)") == before


def test_sorting_by_throughput_begins_with_the_highest(opened: Open) -> None:
    with opened() as page:
        page.locator("#p0 th[data-sort=rps]").get_by_role("button").click()
        assert names_in(page, "p0", "wsgi")[0] == "granian-wsgi"


def test_one_choice_sorts_all_tables_also_where_there_are_no_heads(opened: Open) -> None:
    with opened(width=360) as page:
        page.get_by_label("Sort all by").select_option("start-up")
        for panel in ("p0", "p1"):
            assert names_in(page, panel, "asgi") == ["uvicorn-httptools", "granian-asgi", "hypercorn-uvloop"]


def test_filters_by_interface_model_scenario_and_name_and_says_how_many_rows_are_left(opened: Open) -> None:
    with opened() as page:
        page.get_by_label("Interface").select_option("asgi")
        assert names_in(page, "p0", "wsgi") == []
        assert page.locator("#filter output").inner_text() == "6 rows shown"
        page.get_by_label("Interface").select_option("")
        page.get_by_label("Concurrency").select_option("greenlets")
        assert names_in(page, "p0", "wsgi") == ["broken-one"]
        page.get_by_role("button", name="Reset").click()
        page.locator("[name=scenario]").select_option("wait")
        assert page.locator("#p0").is_hidden()
        page.get_by_role("searchbox").fill("GRANIAN")
        assert names_in(page, "p1", "wsgi") + names_in(page, "p1", "asgi") == ["granian-wsgi", "granian-asgi"]
        dimmed = page.locator("#p1 svg.plot .mark.dim").count()
        assert 0 < dimmed < page.locator("#p1 svg.plot .mark").count()


def test_hovering_over_a_mark_shows_its_value_and_lights_its_row(opened: Open) -> None:
    with opened() as page:
        bar = page.locator("#p0 figure").first.locator(".mark").first
        bar.scroll_into_view_if_needed()
        bar.hover()
        assert re.fullmatch(r"granian-wsgi: [\d.]+ µs \(.+ to .+\)", page.locator("#tip").inner_text())
        assert page.locator("#p0 tr.lit").get_attribute("data-name") == "granian-wsgi"
        page.mouse.move(2, 2)
        assert page.locator("#tip").is_hidden()
        assert page.locator("#p0 tr.lit").count() == 0
        assert bar.locator("title").count() == 1


def test_the_doubts_of_a_row_open_when_they_are_followed(opened: Open) -> None:
    with opened() as page:
        assert page.locator("#p0r0-why pre").first.is_hidden()
        page.locator("#p0 tr.row[data-key=p0r0] td.doubts a").click()
        assert page.locator("#p0r0-why pre").first.is_visible()


def test_the_theme_follows_the_system_and_can_be_chosen(opened: Open) -> None:
    def background(page: Page) -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    with opened() as page:
        light = background(page)
    with opened(scheme="dark") as page:
        dark = background(page)
        assert dark != light
        page.get_by_role("button", name="Theme").click()
        assert background(page) == light
        page.get_by_role("button", name="Theme: light").click()
        assert background(page) == dark


def test_a_server_keeps_its_colour_from_legend_to_chart(opened: Open) -> None:
    with opened() as page:
        fill = "(element) => getComputedStyle(element).fill"
        legend = page.locator("#p0 .legend li", has_text="waitress").locator("path").evaluate(fill)
        key = page.locator("#p0 tr[data-name=waitress]").get_attribute("data-key")
        bar = page.locator(f"#p0 figure .mark[data-row={key}] path").first.evaluate(fill)
        assert legend == bar


@pytest.mark.parametrize(
    "name", ["real", "ordinary", "scaling", "hostile", "long", "index", "comparison", "long comparison"]
)
@pytest.mark.parametrize("width", [360, 768, 1161, 1280])
def test_nothing_sticks_out_sideways(opened: Open, name: str, width: int) -> None:
    with opened(name, width=width) as page:
        page.evaluate(OPEN_ALL)
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["comparison", "long comparison"])
@pytest.mark.parametrize("width", [360, 420, 1280])
def test_ratio_and_verdict_of_a_comparison_are_seen_without_scrolling_sideways(
    opened: Open, name: str, width: int
) -> None:
    """On a phone both were behind a scroll bar."""
    with opened(name, width=width) as page:
        ends: list[float] = page.eval_on_selector_all(
            ".versus td.wide, .versus td.end",
            "all => all.map((one) => one.getBoundingClientRect().right)",
        )
        assert len(ends) >= 8
        assert max(ends) <= width


@pytest.mark.parametrize("name", ["real", "ordinary", "hostile", "index"])
def test_it_prints_on_white_paper_even_from_a_dark_screen(opened: Open, name: str) -> None:
    with opened(name, scheme="dark") as page:
        printed = page.pdf(format="A4", print_background=True)
        assert printed.startswith(b"%PDF")
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
        assert page.locator("#filter").count() == 0 or page.locator("#filter").is_hidden()


def test_without_javascript_the_page_says_the_same(opened: Open) -> None:
    with opened() as page:
        heads = page.locator("h2, h3").all_inner_texts()
        rows = page.locator("tr.row").count()
    with opened(javascript=False) as page:
        assert page.locator("h2, h3").all_inner_texts() == heads
        assert page.locator("tr.row:visible").count() == rows
        assert page.locator("#filter").is_hidden()
        assert page.get_by_role("button").count() == 0
        assert page.locator("svg.plot:visible").count() >= 10
        page.locator("#p0 details.data summary").first.click()
        assert page.locator("#p0 details.data table").first.is_visible()


def test_a_hostile_run_is_shown_as_text_and_runs_nothing(opened: Open) -> None:
    with opened("hostile") as page:
        assert page.locator("script").count() == 1
        assert page.locator("img").count() == 0
        assert "<script>alert(1)</script>" in page.locator("#p0 table.rank").inner_text()


def test_the_tables_and_percentiles_can_be_saved(opened: Open) -> None:
    with opened() as page:
        with page.expect_download() as saved:
            page.get_by_role("link", name="The tables as CSV").click()
        assert saved.value.suggested_filename == "20261122-153000-1a2b.csv"
        assert saved.value.path().read_text(encoding="utf-8").startswith("scenario,load,")
        page.locator("#p0 tr.row[data-key=p0r0] td.doubts a").click()
        with page.expect_download() as saved:
            page.get_by_role("link", name="closed-64.hgrm").first.click()
        assert saved.value.path().read_text(encoding="utf-8").startswith("Value Percentile")


@pytest.fixture(scope="module")
def axe() -> str:
    """Source of axe-core, which axe-playwright-python carries, pinned in the lock file."""
    return (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "width"),
    [("real", 1280), ("ordinary", 1280), ("ordinary", 360), ("hostile", 1280), ("index", 1280), ("comparison", 1280)],
)
def test_axe_finds_no_serious_violation(opened: Open, axe: str, name: str, width: int, scheme: Scheme) -> None:
    with opened(name, width=width, scheme=scheme) as page:
        page.evaluate(OPEN_ALL)
        page.evaluate(axe)
        found: list[dict[str, Any]] = page.evaluate("axe.run().then((result) => result.violations)")
        serious = {
            each["id"]: [node["html"][:200] for node in each["nodes"]][:3]
            for each in found
            if each["impact"] in {"serious", "critical"}
        }
        assert not serious, json.dumps(serious, indent=1)


def test_the_print_is_a_handout_of_a_few_pages(opened: Open) -> None:
    with opened() as page:
        pages_of = re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4", prefer_css_page_size=True))
        assert 2 <= len(pages_of) <= 8


def test_in_print_no_name_of_a_row_is_broken_into_letters(opened: Open) -> None:
    with opened("real", width=718) as page:
        page.emulate_media(media="print")
        widths = page.evaluate(
            "[...document.querySelectorAll('table.num th[scope=row]')].filter((one) => one.offsetParent)"
            ".map((one) => one.getBoundingClientRect().width)"
        )
        assert min(widths) > 45


def test_in_print_opened_tables_keep_their_columns_and_the_first_place_is_dark(opened: Open) -> None:
    with opened(width=718) as page:  # what A4 leaves between its margins
        page.evaluate(OPEN_ALL)
        page.emulate_media(media="print")
        cut = page.evaluate(
            "[...document.querySelectorAll('table')].filter((one) => one.offsetParent && "
            "one.getBoundingClientRect().right > document.documentElement.clientWidth + 1).length"
        )
        assert cut == 0
        colours = page.evaluate(
            "[...document.querySelectorAll('.place.first')].map((one) => getComputedStyle(one).color)"
        )
        assert colours
        assert set(colours) == {"rgb(0, 0, 0)"}
        assert page.locator("table.rank thead").first.is_visible()


@pytest.mark.parametrize("name", ["ordinary", "scaling", "index"])
def test_at_360_pixels_the_keyboard_reaches_nothing_that_can_not_be_seen(opened: Open, name: str) -> None:
    with opened(name, width=360) as page:
        unseen = []
        for _ in range(80):
            page.keyboard.press("Tab")
            where = page.evaluate(
                "(() => { const one = document.activeElement; const box = one.getBoundingClientRect(); "
                "return [one.tagName, one.textContent.slice(0, 30), box.left, box.width, box.height]; })()"
            )
            if where[0] == "BODY":
                break
            if where[2] < -1 or where[3] < 1 or where[4] < 1:
                unseen.append(where)
        assert unseen == []
