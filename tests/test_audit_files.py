"""Other tools' real files: what the audit must find in them, and that no file, however odd, breaks it."""

from __future__ import annotations

import codecs
import csv
import json
import os
import re
import socket
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench import audit
from sgibench.audit import Figures
from sgibench.audit.readers import csv_tables, material
from sgibench.cli import program
from sgibench.errors import UsageError

DATA = Path(__file__).parent / "data" / "audit"
FOLDERS = ("tools", "recorded")


@dataclass(frozen=True, kw_only=True)
class Expected:
    """One line of an expected.csv."""

    path: Path
    row: int | None
    refuted: str
    must_have: frozenset[str]
    must_not_have: frozenset[str]


def expectations() -> list[Expected]:
    found = []
    for folder in FOLDERS:
        with (DATA / folder / "expected.csv").open(encoding="utf-8") as file:
            found += [
                Expected(
                    path=DATA / folder / line["file"],
                    row=int(line["row"]) if line["row"] else None,
                    refuted=line["refuted"],
                    must_have=frozenset(line["must_have"].split()),
                    must_not_have=frozenset(line["must_not_have"].split()),
                )
                for line in csv.DictReader(file)
            ]
    return found


EXPECTED = expectations()
HONEST = sorted(
    {each.path for each in EXPECTED}
    - {each.path for each in EXPECTED if each.refuted != "no"}
    - {DATA / "recorded" / "locust-console.txt", DATA / "recorded" / "lo_stats.csv"}
    - {DATA / "recorded" / "h2load-dropped-n.txt"}  # its last line tells for how long its clients lived
)
"""Files without a refuted row."""
TEXTS = sorted({each.path for each in EXPECTED if each.path.suffix != ".json"})


def kinds(row: Figures) -> set[str]:
    return {each.kind for each in audit.doubts_of(row)}


def read(text: str, name: str = "file.txt") -> list[Figures]:
    return audit.read_rows(text, name)


def refusal(text: str, name: str = "file.txt") -> str:
    """Give the one line with which a text is refused."""
    with pytest.raises(UsageError) as caught:
        read(text, name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- what must be found --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("each", EXPECTED, ids=lambda each: f"{each.path.name}:{each.row}")
def test_the_audit_finds_in_real_files_what_is_expected_and_nothing_that_must_not_be_there(each: Expected) -> None:
    if each.refuted == "unreadable":
        with pytest.raises(UsageError, match=re.escape(each.path.name)):
            audit.read_file(each.path)
        return
    rows = audit.audit_rows(audit.read_file(each.path))
    chosen = rows if each.row is None else [rows[each.row - 1]]
    found = {doubt.kind for row in chosen for doubt in row.doubts}
    assert each.must_have <= found
    assert not each.must_not_have & found
    assert {row.refuted for row in chosen} <= {"yes": {True}, "no": {False}, "mixed": {True, False}}[each.refuted]


def test_every_real_file_has_its_line_and_every_line_its_file() -> None:
    by_folder = defaultdict(set)
    for each in EXPECTED:
        by_folder[each.path.parent.name].add(each.path.name)
    for folder in FOLDERS:
        assert by_folder[folder] == {path.name for path in (DATA / folder).iterdir()} - {"expected.csv"}


def test_in_locusts_file_only_rows_with_failures_and_their_sum_are_refuted() -> None:
    rows = audit.audit_rows(audit.read_file(DATA / "tools" / "locust-1_stats.csv"))
    assert [place for place, row in enumerate(rows, start=1) if row.refuted] == [11, 12, 13, 15]
    assert all("TooFew" in {doubt.kind for doubt in row.doubts} for row in rows if not row.refuted)


# --- the same text in other clothes --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
@pytest.mark.parametrize(
    ("clothes", "put_on"),
    [
        ("utf-16 as PowerShell writes it", lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le")),
        ("utf-16 without a mark", lambda text: text.encode("utf-16-be")),
        ("utf-8 with a mark", lambda text: codecs.BOM_UTF8 + text.encode()),
        ("carriage returns doubled", lambda text: text.replace("\n", "\r\r\n").encode()),
        ("old Mac line ends", lambda text: text.replace("\n", "\r").encode()),
        ("no end of the last line", lambda text: text.rstrip().encode()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_encoding_and_line_ends_change_no_figure(path: Path, clothes: str, put_on: object, tmp_path: Path) -> None:
    assert clothes
    assert callable(put_on)
    text = material.material_of(path.read_bytes().decode("utf-8", errors="replace"), path.name).text
    dressed = tmp_path / path.name
    dressed.write_bytes(put_on(text))
    try:
        plain = audit.read_rows(text, path.name)
    except UsageError:
        with pytest.raises(UsageError):
            audit.read_file(dressed)
        return
    assert audit.read_file(dressed) == plain


@pytest.mark.parametrize("path", [path for path in TEXTS if path.suffix == ".txt"], ids=lambda path: path.name)
def test_a_markdown_quote_and_terminal_colours_change_no_figure(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    quoted = (
        "# Results\n\nOurs:\n\n" + "\n".join(f"> \x1b[32m{line}\x1b[0m" for line in text.splitlines()) + "\n\nGood!\n"
    )
    try:
        plain = read(text)
    except UsageError:
        refusal(quoted)
        return
    assert read(quoted) == plain


LOGS: dict[str, Callable[[list[str]], list[str]]] = {
    "a container's name": lambda lines: [f"loadgen-1  | {line}" for line in lines],
    "a container's name and lines without blanks at their ends": lambda lines: [
        f"l-1 | {line}".rstrip() for line in lines
    ],
    "a container's name in colours, and a time": lambda lines: [
        f"\x1b[36mload-1  | \x1b[0m2026-05-01T10:00:01.123456789Z {line}" for line in lines
    ],
    "a pod": lambda lines: [f"[pod/load-7d/wrk] {line}" for line in lines],
    "a time": lambda lines: [f"2026-05-01T10:00:01.1234567Z {line}" for line in lines],
    "a time in brackets": lambda lines: [f"[2026-05-01 10:00:01,123] {line}" for line in lines],
    "a Markdown quote": lambda lines: [f"> {line}" for line in lines],
    "an indented block": lambda lines: ["1. ours", "", *(f"   {line}" for line in lines)],
    "without blanks at both ends": lambda lines: [line.strip() for line in lines],
}
LOGGED = [
    *(DATA / "recorded" / name for name in ("k6-half.txt", "locust-console.txt", "ac-samples.json", "ab-uneven.txt")),
    *(DATA / "tools" / name for name in ("wrk-1.txt", "hey-5.txt", "k6-1.json", "vegeta-1.txt", "bombardier-1.txt")),
]


@pytest.mark.parametrize("clothes", LOGS)
def test_what_a_log_writes_before_each_line_changes_no_figure(clothes: str) -> None:
    for path in LOGGED:
        text = path.read_text(encoding="utf-8")
        assert read("\n".join(LOGS[clothes](text.split("\n"))), path.name) == read(text, path.name), path.name


def test_texts_and_json_in_one_file_are_all_read_and_prose_between_them_is_none() -> None:
    names = ("tools/wrk-1.txt", "recorded/ac-half.json", "tools/hey-5.txt", "recorded/ac-slow.json", "tools/k6-1.json")
    texts = [(DATA / name).read_text(encoding="utf-8") for name in names]
    notes = "# Notes\n\n[a link](x)\n\n" + "\n\nand [then]:\n\n".join(f"```\n{text}\n```" for text in texts)
    found = read(notes, "notes.md")
    expected = [row for text in texts for row in read(text)]
    nameless = [sorted((replace(row, id="") for row in rows), key=repr) for rows in (found, expected)]
    assert nameless[0] == nameless[1]
    assert len({row.id for row in found}) == 5


# --- pastes that are cut off ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", HONEST, ids=lambda path: path.name)
def test_an_honest_file_that_is_cut_off_anywhere_is_unreadable_or_still_honest(path: Path) -> None:
    text = path.read_bytes().decode("utf-8", errors="replace")
    places = sorted({*range(0, len(text), max(1, len(text) // 150)), *(m.end() for m in re.finditer(r"\d", text))})
    for place in places if len(places) < 500 else places[:: len(places) // 500]:
        try:
            rows = read(text[:place], path.name)
        except UsageError as error:
            assert "\n" not in str(error)  # noqa: PT017 - both ends are right
            continue
        assert not any(row.refuted for row in audit.audit_rows(rows)), text[max(0, place - 60) : place]


SEVERAL = [
    *(
        DATA / "recorded" / f"{name}.txt"
        for name in ("wrk-close", "hey-sometimes", "ab-half", "h2load-404", "h2load-D")
    ),
    *(DATA / "tools" / f"{name}.txt" for name in ("wrk-3", "bombardier-1", "vegeta-1", "ohatext-2", "hey-5")),
    DATA / "recorded" / "locust-console.txt",
]


@pytest.mark.parametrize("first", SEVERAL, ids=lambda path: path.stem)
def test_texts_of_several_tools_in_one_file_are_read_each_by_its_own_reader(first: Path) -> None:
    """In notes one tool's output follows another's: no run is passed over, none takes figures of its neighbour."""
    for second in SEVERAL:
        one, two = (audit.read_file(path) for path in (first, second))
        texts = [path.read_text(encoding="utf-8") for path in (first, second)]
        both = read(f"# Notes\n\n```\n{texts[0]}\n```\n\nand then\n\n```\n{texts[1]}\n```\n", "notes.md")
        nameless = [[replace(row, id="") for row in rows] for rows in (one + two, both)]
        assert nameless[0] == nameless[1], (first.name, second.name)
        assert len({row.id for row in both}) == len(both)


def test_a_run_that_breaks_off_behind_another_tools_run_is_said_and_not_passed_over() -> None:
    wrk, hey = ((DATA / "tools" / f"{name}.txt").read_text(encoding="utf-8") for name in ("wrk-3", "hey-5"))
    for notes in (f"{wrk}\n{hey.partition('Status code')[0]}", f"{hey}\n{wrk.partition('Requests/sec')[0]}"):
        assert "breaks off" in refusal(notes, "notes.md")
    assert len(read(f"Summary: hey says less than\n{wrk}", "notes.md")) == 1
    assert len(read(f"Concurrency Level: 64\n{wrk}\n{hey}", "notes.md")) == 2


def first_lines(name: str, most: int) -> str:
    return "\n".join((DATA / name).read_text(encoding="utf-8").split("\n")[:most]) + "\n"


BEGUN = {
    "ab text": first_lines("recorded/ab-half.txt", 8),
    "h2load text": "starting benchmark...\nspawning thread #0: 9 total client(s). 500 total requests\nprogress:\n",
    "bombardier text": (
        "Bombarding http://h:1/ for 10s using 10 connection(s)\nStatistics        Avg      Stdev        Max\n"
    ),
    "autocannon JSON": (DATA / "recorded" / "ac-slow.json").read_text(encoding="utf-8")[:500],
    "autocannon text": (
        "Running 10s test @ http://localhost:3000/\n100 connections\n\n│ Stat    │ 2.5%  │ Avg │\n"
        "│ Latency │ 20 ms │ 48 ms │\n"
    ),
    "wrk text": first_lines("tools/wrk-1.txt", 3),
    "vegeta text": first_lines("tools/vegeta-1.txt", 3),
    "hey text": first_lines("tools/hey-5.txt", 3),
    "oha text": first_lines("tools/ohatext-2.txt", 3),
    "k6 text": "     execution: local\n        script: s.js\n        output: -\n\n",
    "Locust console table": first_lines("recorded/locust-console.txt", 2),
}


@pytest.mark.parametrize("name", BEGUN)
def test_a_run_that_breaks_off_after_its_first_lines_is_said_beside_a_whole_one(name: str) -> None:
    """They are unmistakable; the half of a format's signs, which prose may have, was asked for."""
    for whole in ("tools/wrk-3.txt", "tools/hey-5.txt", "recorded/ab-half.txt"):
        text = (DATA / whole).read_text(encoding="utf-8")
        assert "breaks off" in refusal(f"{text}\n{BEGUN[name]}")
    text = (DATA / "tools" / "bombardier-1.txt").read_text(encoding="utf-8")
    assert "breaks off" in refusal(f"{BEGUN[name]}\n{text}")


def test_prose_that_names_tools_and_what_they_print_is_no_run() -> None:
    prose = (
        "This is ApacheBench, Version 2.3. We tried Bombarding http://h/ for a while, h2load ('starting benchmark...'"
        ', it says), autocannon with "connections": 10 and vegeta, whose Requests [total, rate] are sent.\n'
        "Benchmarking http://h/ is what ab does. Locust, k6 (execution: local) and oha come next. Summary: none.\n"
    )
    text = (DATA / "tools" / "wrk-3.txt").read_text(encoding="utf-8")
    assert len(read(prose + text, "notes.md")) == len(read(f"{text}\n{prose}", "notes.md")) == 1


def test_a_paste_of_hey_that_stops_before_its_answers_says_so_and_is_not_zero_right_answers() -> None:
    said = refusal((DATA / "tools" / "hey-6.txt").read_text(), "hey-6.txt")
    assert "nearest is hey text, which lacks `Status code distribution:`" in said
    text = (DATA / "tools" / "hey-5.txt").read_text().replace("[200]\t10000 responses", "[200]\t100")
    assert "no whole line of it is left" in refusal(text)


def test_what_does_not_add_up_in_heys_text_is_said_with_its_figures() -> None:
    text = (DATA / "tools" / "hey-5.txt").read_text().replace("[200]\t10000 responses", "[200]\t9000 responses")
    (row,) = read(text)
    (found,) = audit.doubts_of(row)
    assert found.kind == "WrongCount"
    assert "rate × time are 10,000 requests, of which 9,000 right answers and 0 failures are shown" in found.detail


# --- what each tool counts -----------------------------------------------------------------------------------------

WRK = """Running 30s test @ http://127.0.0.1:8000/
  {threads} threads and {connections} connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency    {mean}   10.00ms   {max}   80.00%
    Req/Sec     1.00k   100.00     2.00k    70.00%
{distribution}  30000 requests in 30.00s, 4.00MB read
{errors}Requests/sec:   1000.00
Transfer/sec:    136.53KB
"""


def wrk(
    *,
    mean: str = "99.00ms",
    maximum: str = "150.00ms",
    threads: int = 4,
    connections: int = 100,
    errors: str = "",
    distribution: str = "",
) -> Figures:
    text = WRK.format(
        threads=threads, connections=connections, mean=mean, max=maximum, errors=errors, distribution=distribution
    )
    (row,) = read(text)
    return row


def test_a_paste_of_wrk_may_lack_its_first_line() -> None:
    whole = WRK.format(threads=1, connections=100, mean="99.00ms", max="150.00ms", errors="", distribution="")
    (row,) = read(whole)
    headless = whole.partition("\n")[2]
    (bare,) = read(f"We ran 8 threads and 64 connections.\n\n{headless}")
    assert bare == replace(row, label="", untold_open_ms=2 * 99.0), "from another machine, for all that it tells"
    rows = read(f"{whole}\n{headless}\n{whole}")
    assert [each.label for each in rows] == [row.label, "", row.label]
    table = headless.partition("\n")[2]
    assert read(f"Results\n{table}") == [replace(row, label="", connections=None, untold_open_ms=None)]
    rows = read(f"{table}\n{whole}\n{table}")
    assert [each.connections for each in rows] == [None, 100, None]


def test_percentiles_that_stand_behind_a_run_of_wrk_are_not_its_own() -> None:
    whole = WRK.format(threads=1, connections=100, mean="99.00ms", max="150.00ms", errors="", distribution="")
    (row,) = read(f"{whole}\n  Latency Distribution\n     50%   14.25s\n     99%   25.10s\n")
    assert (row.p50_ms, row.quantiles_ms) == (None, ())


def test_requests_that_wait_for_wrk2s_ticks_are_no_rate_that_was_not_kept() -> None:
    """25,000/s over one connection, each answered in 40 µs: half of them wait for a millisecond, none for longer."""
    kept = Figures(id="a", load="open", connections=1, rps=24_999.5, duration_s=30, p50_ms=0.65, mean_ms=0.7)
    assert kinds(kept) == set()
    assert kinds(replace(kept, p50_ms=350.0, mean_ms=400.0)) == {"RateNotKept"}


def test_no_answer_takes_longer_than_the_run() -> None:
    """Seen of wrk2, whose clock can go wrong with many threads: 833,071 requests in 1.25 ms."""
    text = WRK.format(threads=1, connections=100, mean="1.97s", max="4.93s", errors="", distribution="")
    (row,) = read(
        text.replace("30000 requests in 30.00s", "833071 requests in 1.25ms").replace(" 1000.00\n", " 663801593.63\n")
    )
    assert "Impossible" in kinds(row)
    (found,) = [one for one in audit.doubts_of(row) if one.kind == "Impossible"]
    assert "an answer took 4.93 s in a run of 1.25 ms" in found.detail


def test_hey_keeps_a_million_results_and_a_longer_run_is_no_wrong_count() -> None:
    text = (DATA / "tools" / "hey-5.txt").read_text()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", text)
    total = re.search(r"Total:\s+([\d.]+)", text)
    assert rate
    assert total
    text = re.sub(r" *Total data:[^\n]*\n[^\n]*\n|  [\d.]+ \[\d+\]\t\|[^\n]*\n", "", text)
    million = text.replace("[200]\t10000 responses", "[200]\t1000000 responses").replace(rate[1], "139688.1930")
    (row,) = read(million.replace(total[1], "10.0015", 1))
    assert kinds(row) == set()
    (broken,) = read(
        million.replace("[200]\t1000000", "[200]\t900000").replace(
            "responses", "responses\n  [503]\t100000 responses", 1
        )
    )
    assert kinds(broken) == {"ErrorsSeen", "WrongCount"}
    (more,) = read(million.replace("1000000", "1000001").replace(total[1], "10.0015", 1))
    assert kinds(more) == {"WrongCount"}


def test_broken_connections_that_differ_in_the_clients_port_alone_are_one_kind() -> None:
    errors = "".join(
        f'  [1]\tGet "http://h/": read tcp 127.0.0.1:{port}->127.0.0.1:80: read: connection reset\n'
        for port in range(42000, 42130)
    ) + "".join(f"  [1]\tkind {kind}\n" for kind in range(9))
    text = (DATA / "tools" / "hey-5.txt").read_text()
    (row,) = read(f"{text.rstrip()}\n\nError distribution:\n{errors}")
    assert row.errors == 139
    assert row.error_text.startswith(
        '130 × Get "http://h/": read tcp 127.0.0.1->127.0.0.1:80: read: connection reset, 1 ×'
    )
    assert row.error_text.endswith("5 of 5 other kinds")


def test_a_report_of_vegeta_that_ends_behind_its_status_codes_is_read_when_they_are_whole() -> None:
    text = (DATA / "tools" / "vegeta-1.txt").read_text().partition("Error Set:")[0]
    (row,) = read(text)
    assert row.requests_ok == 25_000
    assert "lacks" in refusal(text.replace("200:25000", "200:2500")) or "has no line" in refusal(
        text.replace("200:25000", "200:2500")
    )


AB = """Concurrency Level:      10
Time taken for tests:   {taken} seconds
Complete requests:      {complete}
Failed requests:        {length}
   (Connect: 0, Receive: 0, Length: {length}, Exceptions: 0)
Non-2xx responses:      {wrong}
Requests per second:    {rate} [#/sec] (mean)
"""


def test_an_answer_of_ab_that_is_of_another_length_and_not_2xx_is_one_failure() -> None:
    (row,) = read(AB.format(taken="0.551", complete=200, length=133, wrong=200, rate="363.02"))
    assert (row.requests_ok, row.errors) == (0, 200)
    (row,) = read(AB.format(taken="0.551", complete=200, length=133, wrong=100, rate="363.02"))
    assert (row.requests_ok, row.errors) == (100, 133)


def test_connections_that_are_closed_without_a_byte_are_failures_though_ab_calls_none_failed() -> None:
    """Recorded: a server that closed each of 400 connections had "Complete requests: 400, Failed requests: 0"."""
    text = AB.format(taken="0.254", complete=400, length=0, wrong=0, rate="1574.76")
    (row,) = read(text + "Total transferred:      0 bytes\n")
    assert (row.requests_ok, row.errors) == (0, 400)
    assert {"WrongCount", "ErrorsSeen"} <= kinds(row)
    (row,) = read(text + f"Total transferred:      {400 * 95} bytes\n")
    assert (row.requests_ok, row.errors, kinds(row)) == (400, 0, set())


def test_failures_that_may_be_right_answers_are_told_of_how_many_and_not_beside_them() -> None:
    (row,) = read(AB.format(taken="0.551", complete=200, length=180, wrong=0, rate="363.02"))
    (found,) = (one for one in audit.doubts_of(row) if one.kind == "ErrorsSeen")
    assert found.detail.startswith("180 failed requests of 200: ")


def test_a_run_of_two_milliseconds_is_as_long_as_its_count_and_rate_say() -> None:
    """Tools print whole milliseconds: 10 requests in 0.0024 s were refuted for the digits that are not shown."""
    (row,) = read(AB.format(taken="0.002", complete=10, length=0, wrong=0, rate="4166.67"))
    assert kinds(row) == set()
    (row,) = read(AB.format(taken="0.003", complete=10, length=0, wrong=0, rate="4166.67"))
    assert kinds(row) == {"WrongCount"}


AB_TIMES = """
Total:        21   47  53.7     28     223

Percentage of the requests served within a certain time (ms)
  50%     28
  90%     54
  99%    {p99}
 100%    {most} (longest request)
"""
AC_SLOW = (DATA / "recorded" / "ac-slow.json").read_text(encoding="utf-8")
HEY = (DATA / "tools" / "hey-5.txt").read_text(encoding="utf-8")


def contradictions(row: Figures) -> str:
    """Give the details of the doubts that refute a row."""
    return "; ".join(each.detail for each in audit.doubts_of(row) if each.kind in audit.REFUTING)


def test_each_run_of_locusts_console_is_read_and_its_tables_on_the_way_are_not() -> None:
    """The first of two runs was passed over, whatever stood in it."""
    text = (DATA / "recorded" / "locust-console.txt").read_text(encoding="utf-8")
    one = read(text, "c.txt")
    for prompt in ("", "$ locust --headless\n"):
        both = read(prompt + text + prompt + text, "c.txt")
        assert [replace(row, id="") for row in both] == [replace(row, id="") for row in one * 2]
        assert [row.id.partition(":")[0] for row in both] == ["c.txt#1"] * len(one) + ["c.txt#2"] * len(one)
    headless = "\n".join(line for line in text.split("\n") if "Starting Locust" not in line)
    assert len(read(headless * 2)) == 2 * len(one), "counts that fall tell a run as well"
    wrong = re.sub(r"(GET +/slow +)51( +52 +52)", r"\g<1>9000\2", text, count=1)
    assert any("p50 9.00 s above" in contradictions(row) for row in read(wrong + text))
    assert not any("p50 9.00 s above" in contradictions(row) for row in read(text + text))
    assert "breaks off" in refusal(text + text.partition("Aggregated")[0])


def test_locusts_counts_that_were_reset_are_of_the_same_run() -> None:
    text = (DATA / "recorded" / "locust-console.txt").read_text(encoding="utf-8")
    first, header, rest = text.partition("Type     Name")
    early = (header + rest.partition("All users")[0]).replace("         0     0(0.00%)", "    9999     0(0.00%)", 1)
    reset = f"{first}{early}host/INFO/locust.runners: Resetting stats\n{header}{rest}"
    assert read(reset) == read(text)


def test_figures_under_the_tools_rounding_have_an_order_too() -> None:
    """Whole milliseconds are off by one, and not by 25: a p99 of 3 ms below a median of 28 ms passed."""
    plain = AB.format(taken="2.532", complete=500, length=0, wrong=0, rate="197.49") + AB_TIMES
    (row,) = read(plain.format(p99=217, most=223))
    assert contradictions(row) == ""
    (row,) = read(plain.format(p99=3, most=223))
    assert "p90 54.0 ms above p99 3.00 ms" in contradictions(row)
    (row,) = read(plain.format(p99=217, most=2))
    assert "p99 217 ms above max 2.00 ms" in contradictions(row)
    (row,) = read(plain.replace("21   47", "21    4").format(p99=217, most=223))
    assert "mean 4.00 ms below the minimum 21.0 ms" in contradictions(row)


@pytest.mark.parametrize(
    ("text", "honest", "false", "says"),
    [
        (AC_SLOW, r'"p99":\s*\d+', '"p99":1', "above p99 1.00 ms"),
        (AC_SLOW, r'("totalCount".*?|"p0_001".*?|)"max":\s*\d+', '"max":2', "above max 2.00 ms"),
        (HEY, r"99% in \S+ secs", "99% in 0.0001 secs", "above p99 100 µs"),
        (HEY, r"Slowest:\s+\S+ secs", "Slowest: 0.0001 secs", "above max 100 µs"),
    ],
)
def test_a_small_figure_below_those_that_it_must_exceed_refutes(text: str, honest: str, false: str, says: str) -> None:
    assert contradictions(read(text)[0]) == ""
    assert says in contradictions(read(re.sub(honest, false, text, count=1))[0])


def test_small_figures_that_rounding_explains_are_none() -> None:
    """Locust cuts its largest answer on the console and rounds its percentiles; hey prints tenths of milliseconds."""
    row = Figures(id="a", resolution=0.05, resolution_ms=1.0, printed_mean_ms=2.4)
    assert kinds(replace(row, printed_ms=((0.5, 2.0), (0.99, 9.0), (0.9999, 10.0), (1.0, 9.0)))) == set()
    assert kinds(replace(row, printed_ms=((0.5, 0.0), (0.99, 2.0), (1.0, 2.0)))) == set()
    assert kinds(replace(row, printed_ms=((0.5, 2.0), (0.99, 9.0), (1.0, 5.0)))) == {"WrongCount"}
    hey = replace(row, resolution_ms=0.1, printed_mean_ms=0.1)
    assert kinds(replace(hey, printed_ms=((0.0, 0.0), (0.5, 0.3), (0.99, 0.3), (1.0, 0.4)))) == set()


H2LOAD = (DATA / "recorded" / "h2load-ok.txt").read_text(encoding="utf-8")
H2LOAD_TIMED = (DATA / "recorded" / "h2load-D.txt").read_text(encoding="utf-8")
CONSOLE = (DATA / "recorded" / "locust-console.txt").read_text(encoding="utf-8")
LOCUST = """Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Requests/s,Failures/s
GET,/,133,0,50,70.1,65.12,0.0
GET,/slow,27,0,48,67.1,13.22,0.0
,Aggregated,160,0,55,69.6,78.34,0.0
"""


@pytest.mark.parametrize(
    ("text", "honest", "false", "says"),
    [
        (H2LOAD, "codes: 20000 2xx", "codes: 60000 2xx", "60,000 answers by status, but 20,000 requests started"),
        (H2LOAD, "codes: 20000 2xx, 0 3xx, 0 4xx", "codes: 9 2xx, 0 3xx, 19991 4xx", "but 9 answers of 2xx and 3xx"),
        (H2LOAD, "codes: 20000 2xx", "codes: 9 2xx", "9 answers by status, but 20,000 requests started"),
        (H2LOAD, "requests: 20000 total", "requests: 99 total", "99 requests in total, but 20,000 done"),
        (H2LOAD_TIMED, "codes: 340 2xx", "codes: 9000 2xx", "9,000 answers by status, but 350 requests started"),
        (H2LOAD_TIMED, "codes: 340 2xx", "codes: 40 2xx", "40 answers by status, but 350 requests started"),
        (H2LOAD_TIMED, "340 done", "7 done", "340 succeeded, but 7 done"),
        (H2LOAD_TIMED, "340 2xx, 0 3xx, 0 4xx, 0 5xx", "340 2xx, 0 3xx, 0 4xx, 70 5xx", "410 answers by status, but"),
        (H2LOAD_TIMED, "340 total", "9340 total", "9,340 requests in total, but 340 succeeded and 0 failed"),
        (H2LOAD, "20000 started", "100 started", "20,000 requests done, but 100 started"),
        (H2LOAD, "20000 done", "100 done", "20,000 succeeded, but 100 done"),
        (H2LOAD, "0 failed, 0 errored", "0 failed, 400 errored", "400 errored, but 0 failed"),
        (H2LOAD, "0 failed", "400 failed", "20,000 requests in total, but 20,000 succeeded and 400 failed"),
        (AC_SLOW, '"total":570,', '"total":5700,', "5,700 requests in total, but 570 answers of 2xx and 0 others"),
        (AC_SLOW, '"sent":580', '"sent":1', "570 requests in total, but 1 were sent"),
        (AC_SLOW, '"count":570', '"count":3', "570 answers of 2xx, but 3 by its statuses"),
        (AC_SLOW, '"duration":3.05', '"duration":30.5', "30.5 s, but 3.05 s from start to finish"),
        (LOCUST, "65.12,0.0", "65.12,9.0", "9.00 failures/s, but 0 failures in 2.04 s"),
        (LOCUST, "65.12", "651.2", "651/s, which its requests make in 204 ms, but the rows of this run take 2.04 s"),
        (LOCUST, "78.34", "783.4", "783/s, which its requests make in 204 ms"),
        (CONSOLE, "  92.71        0.00", " 992.71        0.00", "993/s, which its requests make in 309 ms"),
        (CONSOLE, " 249.75        0.00", " 249.75       70.00", "70.0 failures/s, but 0 failures in 3.31 s"),
    ],
)
def test_counts_of_the_same_requests_that_differ_refute(text: str, honest: str, false: str, says: str) -> None:
    assert honest in text
    assert says not in "".join(contradictions(row) for row in read(text))
    assert says in "".join(contradictions(row) for row in read(text.replace(honest, false, 1)))


def test_counts_that_tools_take_at_other_moments_are_no_contradiction() -> None:
    """What is under way when a run by time begins and ends; autocannon's total without its failures (`-E`)."""
    under_way = H2LOAD_TIMED.replace("codes: 340 2xx", "codes: 352 2xx")
    without_failures = (DATA / "recorded" / "ac-half.json").read_text(encoding="utf-8")
    without_failures = without_failures.replace('"total":35549', '"total":17775')
    for text in (under_way, without_failures):
        assert not any(" but " in contradictions(row) and "in total" in contradictions(row) for row in read(text))
    assert contradictions(read(under_way)[0]) == ""


@pytest.mark.parametrize("name", ["ac-slow.json", "ac-half.json"])
def test_json_in_a_markdown_quote_is_read(name: str) -> None:
    text = (DATA / "recorded" / name).read_text(encoding="utf-8")
    for each in (text, json.dumps(json.loads(text[text.index("{") :]), indent=2)):
        quoted = "Ours:\n\n" + "\n".join(f"> {line}" for line in each.splitlines()) + "\n\nend\n"
        assert read(quoted, name) == read(text, name)


def test_ghzs_summary_is_not_heys() -> None:
    text = (DATA / "tools" / "hey-5.txt").read_text().replace("Summary:\n", "Summary:\n  Count:\t200\n")
    assert "lacks a summary without `Count:` (ghz's, of gRPC)" in refusal(text)


def test_percentiles_of_one_answer_are_no_timer() -> None:
    """p99.9 and p99.99 of 194 answers are its slowest one; of many they are answers that waited."""
    row = Figures(id="a", timed=194, quantiles_ms=((0.5, 2.0), (0.999, 200.0), (0.9999, 200.0)))
    assert kinds(row) == set()
    assert kinds(replace(row, timed=50_000)) == {"Plateau"}


def test_k6s_latencies_of_zero_are_unknown() -> None:
    row = k6(mean=0, med=0, right_med=0)
    assert (row.mean_ms, row.p50_ms) == (None, None)


def test_wrk_opens_whole_connections_for_each_thread() -> None:
    assert wrk(threads=8, connections=100).connections == 96
    assert wrk(threads=3, connections=3).connections == 3


@pytest.mark.parametrize("rate", ["1000", "1000.0", "1,000.00", "1.00e+03", "1000.0000"])
def test_rates_of_odd_digits_are_read(rate: str) -> None:
    """They were said to break off; of 30,000 requests only the last three digits would have been read."""
    text = WRK.format(threads=1, connections=100, mean="100.00ms", max="150.00ms", errors="", distribution="")
    (row,) = read(text.replace("1000.00\n", f"{rate}\n").replace("30000 requests", "30,000 requests"))
    assert (row.rps, row.requests_ok) == (1000.0, 30_000.0)
    assert kinds(row) == set()
    (hey,) = read(re.sub(r"(Requests/sec:\s+)[\d.]+", rf"\g<1>{rate}", HEY))
    assert hey.rps == 1000.0


def test_a_rate_that_is_none_or_breaks_off_is_named() -> None:
    text = WRK.format(threads=1, connections=100, mean="100.00ms", max="150.00ms", errors="", distribution="")
    assert "`Requests/sec:` 'fast', which is no number" in refusal(text.replace("1000.00\n", "fast\n"))
    cut = text.partition("1000.00\n")[0]
    for end in ("1", "1000", "1000.0", "1,0"):
        assert "breaks off" in refusal(cut + end)


CSV = {
    "rows": "id,connections,rps,mean_ms\nA,10,1000,10\nB,10,1000,90\n",
    "locust": (DATA / "recorded" / "lo_stats.csv").read_text(encoding="utf-8"),
}


@pytest.mark.parametrize("name", CSV)
def test_csv_is_read_as_people_paste_it(name: str) -> None:
    """Only a file that begins with its columns was read, and only as one table."""
    text = CSV[name]

    def found(written: str) -> list[tuple[set[str], float | None]]:
        return [(kinds(row), row.rps) for row in read(written)]

    plain = found(text)
    quoted = "".join(f"> {line}\n" for line in text.splitlines())
    assert found(quoted) == plain
    assert found(f"# Results\n\nAs measured, id by id:\n\n{quoted}\nThat is all, really.\n") == plain
    assert found(f"Results\n\n```csv\n{text}```\n\nGood, was it?\n") == plain
    assert found(f"{text}{text}") == plain * 2
    assert found(f"before:\n```\n{text}```\nafter:\n```\n{text}```\n") == plain * 2
    assert len({row.id for row in read(text + text)}) == len(plain) * (1 if name == "rows" else 2)


def test_tables_of_two_kinds_are_both_read_and_a_table_beside_a_tools_text_is_refused() -> None:
    whole = WRK.format(threads=1, connections=100, mean="100.00ms", max="150.00ms", errors="", distribution="")
    both = read(CSV["rows"] + CSV["locust"])
    assert len(both) == len(read(CSV["rows"])) + len(read(CSV["locust"]))
    assert "rows.csv beside wrk text" in refusal(f"{CSV['rows']}\n{whole}")
    assert "line 6: rps is 'fast'" in refusal(CSV["rows"] + "id,rps\nC,1\nD,fast\n")


def test_wrks_raised_mean_refutes_nothing_above_and_a_low_one_refutes() -> None:
    assert kinds(wrk(mean="140.00ms")) == set()
    assert kinds(wrk(mean="60.00ms")) == {"LittleMismatch"}


def test_wrks_late_answers_explain_time_that_is_in_no_latency() -> None:
    late = "  Socket errors: connect 0, read 0, write 0, timeout 50\n"
    assert kinds(wrk(mean="60.00ms", errors=late)) == {"ErrorsSeen"}
    few = "  Socket errors: connect 0, read 0, write 0, timeout 5\n"
    assert kinds(wrk(mean="60.00ms", errors=few)) == {"ErrorsSeen", "LittleMismatch"}


def test_slow_closed_loops_lose_an_answer_of_each_connection_at_the_edges() -> None:
    text = WRK.format(threads=1, connections=100, mean="3.00s", max="4.00s", errors="", distribution="")
    slow = text.replace("30000 requests", "870 requests").replace("1000.00\n", "29.00\n")
    (row,) = read(slow)
    assert kinds(row) == set(), "87 of 100, and 3 s of 30 s are 10 %"
    (quick,) = read(
        slow.replace("3.00s", "30.00ms").replace("870 requests", "87000 requests").replace("29.00\n", "2900.00\n")
    )
    assert kinds(quick) == {"LoadUneven"}, "answers of 4 s: one such stall at the end of 30 s would explain it"
    assert kinds(replace(quick, max_ms=400.0)) == {"LoadUneven"}, "4.5 ms to open a connection would"
    assert kinds(replace(quick, max_ms=400.0, untold_open_ms=None)) == {"LittleMismatch"}


LATTICE = "  Latency Distribution\n     50%   {}\n     75%   {}\n     90%   {}\n     99%   {}\n"


@pytest.mark.parametrize(
    ("percentiles", "expected"),
    [
        (("50.00ms", "50.07ms", "59.97ms", "70.02ms"), {"Plateau"}),
        (("50.00ms", "50.07ms", "50.21ms", "70.02ms"), set()),
        (("50.00ms", "53.07ms", "59.97ms", "70.02ms"), set()),
        (("41.00ms", "41.20ms", "41.55ms", "90.00ms"), {"Plateau"}),
        (("41.00ms", "43.20ms", "47.55ms", "90.00ms"), set()),
        (("310.00us", "420.00us", "40.55ms", "41.30ms"), {"Plateau"}),
        (("310.00us", "22.00ms", "40.55ms", "41.30ms"), set()),
        (("1.01s", "1.02s", "1.05s", "1.40s"), set()),
    ],
)
def test_lattices_and_shares_at_a_timer_are_plateaus(percentiles: tuple[str, ...], expected: set[str]) -> None:
    row = wrk(distribution=LATTICE.format(*percentiles), maximum="2.00s")
    assert kinds(row) & {"Plateau"} == expected


K6 = """
     ✓ status is 200
     http_req_connecting............: avg={connect}ms min=0s med={connect_med}ms max=9ms p(90)=1ms p(95)=2ms
   ✓ http_req_duration..............: avg={mean}ms min=1ms med={med}ms max=1.2s p(90)=120ms p(95)=130ms
       {{ expected_response:true }}...: avg=100ms min=1ms med={right_med}ms max=1.2s p(90)=120ms p(95)=130ms
     http_req_failed................: {failed}
     http_reqs......................: {count}   {rate}/s
     iteration_duration.............: avg={turn}ms min=1ms med=100ms max=1.2s p(90)=120ms p(95)=130ms
     iterations.....................: {count}   {rate}/s
     vus............................: 50   min=50 max=50
     vus_max........................: 50   min=50 max=50
"""


def k6_text(**changed: object) -> str:
    plain: dict[str, object] = {
        "connect": 0.1,
        "connect_med": 0,
        "mean": 100,
        "med": 100,
        "right_med": 100,
        "failed": "0.00%  ✓ 0          ✗ 15000",
        "count": 15000,
        "rate": 499.5,
        "turn": 100.1,
    }
    return K6.format(**(plain | changed))


def k6(**changed: object) -> Figures:
    (row,) = read(k6_text(**changed))
    return row


def test_k6s_text_is_read_in_its_old_and_new_layout() -> None:
    honest = k6()
    assert (honest.connections, honest.requests_ok, honest.errors, honest.max_ms) == (50, 15000, 0, 1200)
    assert kinds(honest) == set()
    new = k6(failed="2.00% 300 out of 15000")
    assert (new.requests_ok, new.errors) == (14700, 300)
    assert kinds(new) == {"ErrorsSeen"}


def test_more_iterations_at_work_than_users_are_impossible() -> None:
    assert kinds(k6(rate=540.0, turn=100.1, mean=97)) == {"Impossible"}


def test_quick_failures_that_hide_the_latency_of_right_answers_are_a_wrong_count() -> None:
    assert kinds(k6(failed="1.50% ✓ 225 ✗ 14775", right_med=230, med=100)) == {"ErrorsSeen", "WrongCount"}
    assert kinds(k6(failed="1.50% ✓ 225 ✗ 14775", right_med=110, med=100)) == {"ErrorsSeen"}


def test_a_client_that_connects_longer_than_it_asks_has_run_out_of_ports() -> None:
    assert "ClientPorts" in kinds(k6(connect=140, connect_med=0.2))
    assert "ClientPorts" in kinds(k6(count=16380, rate=499.5, connect=0.5, connect_med=0.4))
    assert "ClientPorts" not in kinds(k6(count=16380, rate=499.5))


def test_k6s_dropped_iterations_are_a_rate_that_was_not_kept() -> None:
    (plain,) = read(k6_text())
    dropped = "     dropped_iterations.............: 9000   300.0/s\n     iterations....."
    (row,) = read(k6_text().replace("     iterations.....", dropped))
    assert (kinds(plain), kinds(row)) == (set(), {"RateNotKept"})


def test_bombardier_is_read_as_text_with_errors_and_as_json() -> None:
    text = (DATA / "tools" / "bombardier-1.txt").read_text()
    broken = text.replace("2xx - 1000000", "2xx - 900000").replace(
        "others - 0\n",
        "others - 100000\n  Errors:\n    dial tcp 127.0.0.1:8000: connect: cannot assign requested address - 100000\n",
    )
    (row,) = read(broken)
    assert (row.requests_ok, row.errors) == (900_000, 100_000)
    assert kinds(row) == {"ClientPorts", "ErrorsSeen", "WrongCount"}
    found = {
        "spec": {
            "numberOfConnections": 100,
            "testType": "timed",
            "testDurationSeconds": 10,
            "url": "http://127.0.0.1/",
        },
        "result": {
            "timeTakenSeconds": 10.0,
            **{f"req{n}xx": 0 for n in (1, 3, 4, 5)},
            "req2xx": 100_000,
            "others": 0,
            "latency": {"mean": 9950.0, "stddev": 10, "max": 50_000, "percentiles": {"50": 9900, "99": 12_000}},
            "rps": {"mean": 10_000.0, "stddev": 1, "max": 11_000},
        },
    }
    (row,) = read(json.dumps(found))
    assert (row.connections, row.mean_ms, row.p99_ms, row.max_ms) == pytest.approx((100, 9.95, 12.0, 50.0))
    assert kinds(row) == set()
    found["result"]["latency"]["mean"] = 5000.0  # type: ignore[index]
    assert kinds(read(json.dumps(found))[0]) == {"LittleMismatch"}
    found["spec"]["rate"] = 10_000
    assert kinds(read(json.dumps(found))[0]) == set(), "paced: connections may be idle"


def test_vegetas_json_is_read_in_nanoseconds() -> None:
    found = {
        "latencies": {
            "total": 1,
            "mean": 4_519_000,
            "50th": 3_437_000,
            "90th": 6_136_000,
            "95th": 7_494_000,
            "99th": 53_812_000,
            "max": 160_226_000,
            "min": 563_135,
        },
        "duration": 9_999_000_000,
        "requests": 25_000,
        "rate": 2500.14,
        "throughput": 2499.21,
        "success": 1,
        "status_codes": {"200": 25_000},
        "errors": [],
    }
    (row,) = read(json.dumps(found))
    (text, *_others) = audit.read_file(DATA / "tools" / "vegeta-1.txt")
    assert (row.rps, row.mean_ms, row.p99_ms, row.requests_ok) == (
        text.rps,
        text.mean_ms,
        text.p99_ms,
        text.requests_ok,
    )
    assert kinds(row) == set()
    found["status_codes"] = {"0": 5000, "200": 20_000}
    assert kinds(read(json.dumps(found))[0]) == {"ErrorsSeen", "WrongCount"}


VEGETA = """Requests      [total, rate, throughput]  1200, 120.00, 65.87
Duration      [total, attack, wait]      10.094965987s, 9.949883921s, 145.082066ms
Latencies     [mean, 50, 95, 99, max]    113.172398ms, 108.272568ms, 140.18235ms, 247.771566ms, 264.815246ms
Success       [ratio]                    55.42%
Status Codes  [code:count]               0:535  200:665
Error Set:
Get http://localhost:6060: dial tcp 127.0.0.1:6060: connection refused
"""


def changed(text: str, *changes: tuple[str, str]) -> str:
    for before, after in changes:
        assert before in text
        text = text.replace(before, after, 1)
    return text


@pytest.mark.parametrize(
    "changes",
    [
        (),
        ((", throughput", ""), (", 65.87", "")),
        (("65.87", "0.00"), ("55.42%", "0.00%"), ("0:535  200:665", "0:1200")),
        (("9.949883921s", "10s"), ("10.094965987s", "10.095s"), ("65.87", "65.87")),
        (("0:535  200:665", "0:535\n200:665"),),
        (
            *(("1200, 120.00, 65.87", "7, 0.12, 0.02"), ("55.42%", "28.57%"), ("0:535  200:665", "0:5  200:2")),
            *(("10.094965987s", "1m25s"), ("9.949883921s", "1m0s"), ("145.082066ms", "25s")),
        ),
        (
            *(("1200, 120.00, 65.87", "1200, 0.33, 0.18"), ("10.094965987s", "1h1m0s")),
            *(("9.949883921s", "1h1m0s"), ("145.082066ms", "10s")),
        ),
    ],
    ids=["new", "old", "nothing right", "rounded", "wrapped", "slow", "an hour"],
)
def test_vegetas_failures_are_in_what_it_sent_and_not_in_its_throughput(changes: tuple[tuple[str, str], ...]) -> None:
    (row,) = read(changed(VEGETA, *changes))
    assert "ErrorsSeen" in kinds(row)
    assert contradictions(row) == ""


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ((("0:535  200:665", "200:665"),), "1,200 requests in total, but 665 by their status"),
        ((("120.00", "240.00"),), "1,200 requests in total, but 240/s sent for 9.95 s are 2,388"),
        ((("65.87", "118.87"),), "119/s published, but 665 right answers in 10.1 s are 65.9/s"),
        ((("55.42%", "100.00%"),), "a success of 100 %, but 55.4167 % by its status codes"),
    ],
)
def test_what_vegeta_tells_twice_must_agree(changes: tuple[tuple[str, str], ...], says: str) -> None:
    assert says in contradictions(read(changed(VEGETA, *changes))[0])
    found = {
        "latencies": {"mean": 113_172_398},
        "duration": 9_949_883_921,
        "wait": 145_082_066,
        "requests": 1200,
        "rate": 120.6044,
        "throughput": 65.874424,
        "success": 665 / 1200,
        "status_codes": {"0": 535, "200": 665},
    }
    assert kinds(read(json.dumps(found))[0]) == {"ErrorsSeen"}
    ((before, _after),) = changes
    false = {
        "0:535  200:665": ("status_codes", {"200": 665}),
        "120.00": ("rate", 240),
        "65.87": ("throughput", 118.87),
        "55.42%": ("success", 1),
    }
    assert says in contradictions(read(json.dumps(found | dict([false[before]])))[0])
    for name in ("rate", "throughput", "duration", "requests", "success"):
        assert contradictions(read(json.dumps(found | {name: -1}))[0]), name


def test_requests_that_never_left_vegeta_are_not_sent() -> None:
    limit = "Get http://localhost:6060: socket: too many open files"
    refused = VEGETA.rstrip().split("\n")[-1]
    said = contradictions(read(VEGETA.replace(refused, limit))[0])
    assert "120/s sent, but 535 of 1,200 requests never left the client" in said
    (row,) = read(f"{VEGETA}{limit}\n")
    assert contradictions(row) == "", "of two errors nobody knows how many were which"


def test_ohas_text_of_today_with_its_deadline_is_read_like_its_json() -> None:
    text = (
        "Summary:\n  Success rate:\t100.00%\n  Total:\t10.0020 sec\n  Slowest:\t213.8905 ms\n  Fastest:\t1.1868 ms\n"
        "  Average:\t7.3664 ms\n  Requests/sec:\t2713.1535\n\nResponse time distribution:\n  50.00% in 4.6846 ms\n"
        "  99.00% in 41.7476 ms\n  99.90% in 59.3403 ms\n\nStatus code distribution:\n  [200] 27117 responses\n\n"
        "Error distribution:\n  [20] aborted due to deadline\n"
    )
    (row,) = read(text)
    assert (row.requests_ok, row.cut_off, row.errors) == (27117, 20, 0)
    assert (row.p50_ms, row.p99_ms, row.max_ms) == pytest.approx((4.6846, 41.7476, 213.8905))
    assert kinds(row) == set()


def test_a_history_without_a_single_request_is_no_sound_row() -> None:
    """What Locust leaves of a run that was stopped before its file was written a second time."""
    header = (DATA / "recorded" / "lo_stats_history.csv").read_text(encoding="utf-8").split("\n")[0]
    nothing = "1795686634,0,,Aggregated,0.000000,0.000000" + ",N/A" * 11 + ",0,0,0,0.0,0,0,0"
    (row,) = read(f"{header}\n{nothing}\n", "locust_stats_history.csv")
    assert (row.requests_ok, row.rps) == (0, 0)
    assert kinds(row) == {"ErrorsSeen", "WrongCount"}


def test_locusts_older_columns_and_tables_are_read() -> None:
    columns = [
        *("Type", "Name", "# requests", "# failures", "Median response time", "Average response time"),
        *(
            "Min response time",
            "Max response time",
            "Average Content Size",
            "Requests/s",
            "Requests Failed/s",
            "50%",
            "99%",
        ),
    ]
    figures = "1000,0,50,52.5,40,200,100,100.0,0.0,50,90"
    one = ",".join(f'"{column}"' for column in columns) + f'\n"GET","/",{figures}\n"","Aggregated",{figures}\n'
    first, total = read(one, "one.csv")
    assert (first.label, first.requests_ok, first.p99_ms, first.mean_ms) == ("GET /", 1000, 90, 52.5)
    assert (kinds(first), kinds(total)) == (set(), set())
    table = (
        " Name                          # reqs      # fails     Avg     Min     Max  |  Median   req/s\n"
        "--------------------------------------------------------------------------------------------\n"
        " GET /                           1000     0(0.00%)      52      40     200  |      50  100.00\n"
        "--------------------------------------------------------------------------------------------\n"
        " Total                           1000     0(0.00%)                                     100.00\n"
    )
    assert "breaks off before the line `Aggregated`" in refusal(table)
    (row, _total) = read(
        table.replace(
            "0(0.00%)                                     100.00", "0(0.00%)      52      40     200  |      50  100.00"
        )
    )
    assert (row.requests_ok, row.mean_ms, row.max_ms) == (1000, 52, 200)


# --- strangers' files ----------------------------------------------------------------------------------------------


def run_audit(path: Path) -> tuple[int, str]:
    result = CliRunner().invoke(program, ["audit", str(path)], standalone_mode=False)
    if isinstance(result.exception, UsageError):
        return 2, str(result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code, result.output


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b"hello\n", "none of the formats"),
        (bytes(range(256)) * 10, "no text"),
        (b"\x7fELF" + b"\0" * 300, "no text"),
        (b"[" * 100_000, "nested more than 100 levels"),
        (b'{"metrics": ' * 500 + b"1" + b"}" * 500, "nested more than 100 levels"),
        (b'{"summary": {}, "latencyPercentiles": {}, "x": ' + b"9" * 5000 + b"}", "more than 4,300 digits"),
        (b'{"summary": {"total": ' + b"9" * 400 + b'}, "latencyPercentiles": {}}', "not a number"),
        (b'{"summary": {"total": NaN}, "latencyPercentiles": {}}', "not a number"),
        (
            b'{"summary": {"total": 1}, "latencyPercentiles": {}, "statusCodeDistribution": {"abc": 1}}',
            "status such as 200",
        ),
        (b'{"metrics": {"http_req_duration": {"avg": true}}}', "http_reqs has no count and rate"),
        (b'{"summary": {"total": 1}, "latencyPercentiles": {"p5', "breaks off or is broken at line 1"),
        (
            b'{"summary": {"total": null, "requestsPerSec": null}, "latencyPercentiles": {}}',
            "has no figure at all",
        ),
        (b"id,rps\n" + b"a,\n" * 200_000, "line 100002: has more than 100,000 rows"),
        (b"id,rps\nA,fast\n", "line 2: rps is 'fast', not a number"),
        (b"id,rps\n", "no row below its header"),
        (b"id,rps\nA," + b"9" * 400 + b"\n", "not a number"),
        (b"Name,Type\n1,2\n", "nearest is Locust statistics CSV, which lacks"),
        (
            b"This is ApacheBench, Version 2.3\napr_pollset_poll: The timeout specified has expired\n",
            "nearest is ab text",
        ),
        (b'{"type":"Point","metric":"http_reqs","data":{}}\n{"type":"Point"}\n', "nearest is k6 summary JSON"),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else value[:24],
)
def test_what_cannot_be_read_is_one_line_that_says_what_is_missing(data: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "stranger"
    path.write_bytes(data)
    code, said = run_audit(path)
    assert code == 2
    assert says in said
    assert "\n" not in said.strip()
    assert len(said) < 1000


def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    fifo, sock = tmp_path / "fifo", tmp_path / "sock"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(sock))
        for path in (fifo, sock, Path("/dev/zero")):
            code, said = run_audit(path)
            assert (code, "no regular file" in said) == (2, True)
    huge = tmp_path / "huge"
    with huge.open("wb") as file:
        file.truncate(material.MOST_BYTES + 1)
    assert "larger than 64 MiB" in run_audit(huge)[1]


def test_the_command_reads_a_file_and_exits_by_whether_it_is_refuted() -> None:
    assert run_audit(DATA / "tools" / "wrk-1.txt")[0] == 0
    assert run_audit(DATA / "tools" / "wrk-3.txt")[0] == 1


def test_what_cannot_be_read_keeps_nobody_else_from_being_audited(tmp_path: Path) -> None:
    broken, missing = tmp_path / "broken.txt", tmp_path / "missing.txt"
    broken.write_text("hello")
    sound = DATA / "tools" / "wrk-3.txt"
    done = CliRunner().invoke(program, ["audit", str(broken), str(sound), str(missing)], standalone_mode=False)
    assert done.exit_code == 2
    assert "1 refuted" in done.stdout
    assert [line.split(":")[1].strip() for line in done.stderr.splitlines()] == ["broken.txt", str(missing)]
    code, said = run_audit(missing)
    assert code == 2
    assert "there is no such file" in said


def test_tables_with_semicolons_and_decimal_commas_are_read() -> None:
    (row,) = read('id;rps;mean_ms;round_rps\nA, or B;12,5;3,1;"12,4;12,6"\n')
    assert (row.id, row.rps, row.mean_ms, row.round_rps) == ("A, or B", 12.5, 3.1, (12.4, 12.6))
    path = DATA / "tools" / "locust-1_stats.csv"
    plain = list(csv.reader(path.read_text(encoding="utf-8").splitlines()))
    text = "\n".join(
        ";".join(f'"{cell}"'.replace(".", ",") if place > 1 else f'"{cell}"' for place, cell in enumerate(cells))
        for cells in plain[1:]
    )
    assert read(";".join(plain[0]) + "\n" + text, path.name) == audit.read_file(path)


HEAD = "id,connections,rps,mean_ms\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            f"{HEAD}a,10,1,234,8.1\n",
            "line 2 has 5 fields where the head has 4: quote what holds `,`, and write figures without a separator",
        ),
        (
            "id;connections;rps;mean_ms;round_rps\na;10;1230;8,1;1200;1230;1260\n",
            "line 2 has 7 fields where the head has 5",
        ),
        (f"{HEAD}a,10,1000,10\n\nb,10,1000\n", "line 4 has 3 fields where the head has 4: it breaks off"),
        ("id,rps,mean_ms,rps\na,1,2,3\n", "line 1 has the column `rps` twice"),
        (LOCUST.replace("Median Response Time", "# Requests"), "line 1 has the column `# Requests` twice"),
        (LOCUST.replace("GET,/,133", "GET,/,1,33"), "line 2 has 9 fields where the head has 8"),
        (
            "id;rps;mean_ms\na;1000;8,1\nb;1.234;8,25\n",
            "line 3: rps is 1.234, which beside 8,1 in line 2 may be 1234 or 1.234",
        ),
        ("id;rps;mean_ms\na;1,234;8.1\n", "line 2: rps is 1,234, which beside 8.1 in line 2 may be 1234 or 1.234"),
        ("id\trps\tmean_ms\na\t1,234\t8\n", "line 2: rps is 1,234, which may be 1234 or 1.234"),
        ("id;rps;mean_ms\na;1.234,5;8,1\n", "line 2: rps is '1.234,5', not a number"),
        ("id;rps\na;1,234,567\n", "line 2: rps is '1,234,567', not a number"),
        ("id,rps\na,1_234\n", "line 2: rps is '1_234', not a number"),
        ("id,rps\na,１２３４\n", "line 2: rps is '１２３４', not a number"),
    ],
    ids=lambda value: value[-30:],
)
def test_a_figure_of_which_nobody_knows_what_or_whose_it_is_is_refused_by_its_line(text: str, says: str) -> None:
    assert says in refusal(text, "rows.csv")


def test_tables_are_read_with_tabs_with_empty_fields_at_the_ends_and_with_plain_decimal_commas() -> None:
    (row,) = read("id,connections,rps,mean_ms\na,10,1000,10\n")
    assert read("id\tconnections\trps\tmean_ms\tmax_ms\na\t10\t1000\t10\t\n") == [row]
    assert read("id,connections,rps,mean_ms,,\na,10,1000,10,,\n,,,,,\n") == [row]
    assert read(f"{HEAD}a,10,1000,10,,,\n") == [row]
    assert [each.mean_ms for each in read("id;rps;mean_ms\na;1000;8,125\nb;999,5;0,5\n")] == [8.125, 0.5]
    assert [each.mean_ms for each in read("id;rps;mean_ms\na;1000;8.125\n")] == [8.125]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("0,1000,,,,", "0 connections, but 1000 requests/s"),
        ("10.5,1000,,,,", "10.5 connections, but connections are whole ones"),
        ("10,1000,0,10000,,", "a duration of 0 s, but 10000 right answers"),
        ("10,1000,,,1.5,", "server_cpu_share of 1.5, but 1 is all of the server's CPUs"),
        ("10,1000,,,-0.1,", "server_cpu_share of -0.1"),
        ("10,1000,,,,1000;-5", "round rps of -5"),
        ("10,1000,,,1.09,", ""),
        ("0,,,,1,", ""),
    ],
)
def test_absurd_figures_of_a_table_are_doubted(fields: str, says: str) -> None:
    (row,) = read(f"id,connections,rps,duration_s,requests_ok,server_cpu_share,round_rps\na,{fields}\n")
    assert says in contradictions(row)
    assert bool(says) == bool(contradictions(row))


def test_columns_that_nobody_reads_ids_that_stand_twice_and_rows_that_tell_nothing_are_said(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"

    def said(text: str) -> tuple[str, str]:
        path.write_text(text)
        done = CliRunner().invoke(program, ["audit", str(path)], standalone_mode=False)
        assert done.exit_code == 0
        return done.stdout, done.stderr

    shown, notice = said("id,conections,rps,mean_us,colour\na,10,1000,10,red\n")
    assert "1 rows: 0 without a doubt, 0 refuted, 1 of which nothing could be asked" in shown
    assert "`conections` (is it `connections`?), `mean_us` (is it `mean_ms`?), `colour`: not read" in notice
    assert "nothing could be asked of a: too few figures" in notice
    shown, notice = said(f"{HEAD}a,10,1000,10\na,10,1001,10\n")
    assert shown.strip() == "2 rows: 2 without a doubt, 0 refuted"
    assert notice.strip() == "Notice: rows.csv: more than one row has the id a: doubts do not tell which"
    assert said(f"{HEAD}a,10,1000,10\nb,10,1001,10\n")[1] == ""


def test_answers_of_another_duration_say_of_which() -> None:
    """HttpArena prints 5 s beside profiles that run for 15."""
    (row,) = read('"id","rps","duration_s","requests_ok"\n"a",110810,5,1662161\n')
    (found,) = audit.doubts_of(row)
    assert found.kind == "WrongCount"
    assert found.detail.endswith("1,662,161 right answers in 5.00 s are 332,000/s; at that rate they take 15.0 s")


def test_very_many_empty_lines_are_passed_over() -> None:
    """Work grows with a file's length and not with its square, which took hours."""
    whole = WRK.format(threads=1, connections=100, mean="99.00ms", max="150.00ms", errors="", distribution="")
    blank = "\n" * 200_000 + " \n" * 100_000
    assert read(f"{blank}{whole}{blank}") == read(whole)
    assert "none of the formats" in refusal(f"{blank}hello\n")


def test_ten_megabytes_of_empty_lines_and_a_long_table_take_seconds() -> None:
    begun_s = time.process_time()
    assert "none of the formats" in refusal("\n" * 10_000_000)
    whole = WRK.format(threads=1, connections=100, mean="99.00ms", max="150.00ms", errors="", distribution="")
    assert len(read(whole + "\n" * 3_000_000)) == 1
    assert time.process_time() - begun_s < 12
    begun_s = time.process_time()
    rows = "".join(f"r{place},10,1000,10\n" for place in range(20_000))
    assert not any(row.doubts for row in audit.audit_rows(read(f"{HEAD}{rows}")))
    assert time.process_time() - begun_s < 5


def test_negative_and_absurd_figures_are_doubted_and_break_nothing() -> None:
    (row,) = read('"id","rps","mean_ms"\n"a",-5,-3\n')
    (found,) = [one for one in audit.doubts_of(row) if one.kind == "WrongCount"]
    assert "requests/s of -5, mean (ms) of -3" in found.detail
    for value in ("1e308", "-1e308", "1e14", "1e-308"):
        columns = [
            each for each in csv_tables.COLUMNS if each not in ("id", "source", "label", "group", "expected_doubts")
        ]
        text = ",".join(["id", *columns]) + "\n" + ",".join(["a", *(value for _ in columns)]) + "\n"
        (row,) = read(text)
        assert audit.doubts_of(row)


def test_id_and_any_column_of_figures_are_a_table_quoted_or_not() -> None:
    for text in ("id,connections\na,5\n", '"id", "connections"\n"a", "5"\n', "connections,id\n5,a\n"):
        (row,) = read(text)
        assert (row.id, row.connections, kinds(row)) == ("a", 5, set())


_TOKEN = re.compile(r"\d+(?:\.\d+)?")
_ODD = st.sampled_from(
    ["9" * 400, "1e308", "-1", "NaN", "Infinity", "0", "", "1.2.3", "٣", "-nan", '"', "{", "1e-320", ","]
)


def test_a_number_of_hundreds_of_digits_is_refused_in_one_line() -> None:
    text = (Path(__file__).parent / "data/audit/recorded/ab-half.txt").read_text(encoding="utf-8")
    with pytest.raises(UsageError, match="one of its numbers has more digits than any figure"):
        read(re.sub(r"^ +98%", " " + "9" * 400 + "%", text, count=1, flags=re.MULTILINE), "ab-half.txt")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_real_files_with_odd_tokens_in_their_figures_place_never_break_the_audit(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted({each.path for each in EXPECTED})))
    text = path.read_bytes().decode("utf-8", errors="replace")
    tokens = list(_TOKEN.finditer(text))
    for place in sorted(data.draw(st.sets(st.integers(0, len(tokens) - 1), min_size=1, max_size=6)), reverse=True):
        text = text[: tokens[place].start()] + data.draw(_ODD) + text[tokens[place].end() :]
    cut = data.draw(st.integers(0, len(text)) | st.just(len(text)))
    try:
        rows = audit.audit_rows(read(text[:cut], path.name))
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both ends are right
        return
    for row in rows:
        assert all("\n" not in one.detail for one in row.doubts)


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=400)
    | st.recursive(
        st.none() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "metrics",
                        "summary",
                        "latencyPercentiles",
                        "spec",
                        "result",
                        "latency",
                        "requests",
                        "non2xx",
                        "rate",
                        "status_codes",
                        "latencies",
                        "http_reqs",
                        "http_req_duration",
                        "framework",
                        "avg_latency",
                    ]
                ),
                inner,
                max_size=4,
            )
        ),
    ).map(json.dumps)
)
def test_any_text_and_any_json_is_read_or_refused_in_one_line(text: str) -> None:
    try:
        audit.audit_rows(read(text))
    except UsageError as error:
        assert "\n" not in str(error)  # noqa: PT017 - both ends are right


H2LOAD = """starting benchmark...
spawning thread #0: 2 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration
spawning thread #1: 2 total client(s). Timing-based test with 0s of warm-up time and 2s of main duration
Application protocol: h2c

finished in 2.00s, 308330.00 req/s, 36.18MB/s
requests: 616660 total, 616664 started, 616660 done, 616660 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 616660 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 72.36MB (75876095) total, 2.94MB (3083764) headers (space savings 95.57%), 53.52MB (56116060) data
                 min         max         median      p95         p99         mean        sd         +/- sd
request     :        7us       461us        10us        15us        20us        {mean}         3us    93.62%
connect     :       78us        97us        88us        97us        97us        88us         7us    50.00%
req/s       :   63730.60    86812.79    78887.39    86812.79    86812.79    77079.54    11473.74    75.00%
"""


def test_h2loads_new_table_is_read_and_microseconds_are_not_held_against_it() -> None:
    (row,) = read(H2LOAD.format(mean="11us"))
    assert (row.connections, row.p50_ms, row.p99_ms, row.mean_ms) == pytest.approx((4, 0.010, 0.020, 0.011))
    assert kinds(row) == set()
    slower = re.sub(r"(\d{4})(\d)\.(\d)\d(?=  )", r"\1.\2\3", H2LOAD)
    for quick, slow in (
        *(("308330.00", "30833.00"), ("616660", "61666"), ("616664", "61670")),
        *(
            (
                "7us       461us        10us        15us        20us",
                "30us      4.61ms       100us       150us       200us",
            ),
        ),
    ):
        slower = slower.replace(quick, slow)
    assert kinds(read(slower.format(mean="125us"))[0]) == set()
    assert kinds(read(slower.format(mean=" 60us"))[0]) == {"LittleMismatch"}


def test_the_command_above_a_run_of_wrk_tells_that_each_request_opened_a_connection() -> None:
    quick = WRK.format(threads=1, connections=100, mean="60.00ms", max="150.00ms", errors="", distribution="")
    closes = "\n$ wrk -t1 -c100 -d30s -H 'Connection: close' http://127.0.0.1:8000/\n"
    first, second = read(quick + closes + quick)
    assert (kinds(first), kinds(second)) == ({"LittleMismatch"}, set())
    assert (first.new_connections, second.new_connections) == (False, True)


AUTOCANNON = """Running 10s test @ http://localhost:3000/
100 connections with 10 pipelining factor
{workers}
┌─────────┬───────┬───────┬───────┬───────┬──────────┬───────────┬──────────┐
│ Stat    │ 2.5%  │ 50%   │ 97.5% │ 99%   │ Avg      │ Stdev     │ Max      │
├─────────┼───────┼───────┼───────┼───────┼──────────┼───────────┼──────────┤
│ Latency │ 20 ms │ 44 ms │ 64 ms │ 67 ms │ 48.49 ms │ 75.13 ms  │ 1489 ms  │
└─────────┴───────┴───────┴───────┴───────┴──────────┴───────────┴──────────┘
┌───────────┬────────┬────────┬──────────┬──────────┬─────────┬─────────┬────────┐
│ Stat      │ 1%     │ 2.5%   │ 50%      │ 97.5%    │ Avg     │ Stdev   │ Min    │
├───────────┼────────┼────────┼──────────┼──────────┼─────────┼─────────┼────────┤
│ Req/Sec   │ 1,449  │ 1,449  │ 2,231    │ 2,409    │ {average} │ 258.47  │ 1,449  │
├───────────┼────────┼────────┼──────────┼──────────┼─────────┼─────────┼────────┤
│ Bytes/Sec │ 687 kB │ 687 kB │ 1.06 MB  │ 1.14 MB  │ 1.03 MB │ 122 kB  │ 686 kB │
└───────────┴────────┴────────┴──────────┴──────────┴─────────┴─────────┴────────┘

Req/Bytes counts sampled {every}.
# of samples: {samples}

{failures}22k requests in 10.09s, 10.3 MB read
"""


@pytest.mark.parametrize(
    ("average", "every", "samples", "workers", "rate"),
    [
        ("2,177.2", "once per second", 10, "", 2177.2),
        ("2177.2", "once per second", 10, "", 2177.2),
        ("2.177,2", "once per second", 10, "", 2177.2),
        ("2\u202f177,2", "once per second", 10, "", 2177.2),
        ("2,177", "once per second", 10, "", 2177),
        ("217,72", "every 0.1 seconds", 100, "", 2177.2),
        ("2,177.2", "once per second", 40, "4 workers", 2177.2),
    ],
)
def test_autocannons_table_is_read_in_every_language_and_for_every_sample(
    average: str, every: str, samples: int, workers: str, rate: float
) -> None:
    text = AUTOCANNON.format(average=average, every=every, samples=samples, workers=workers, failures="")
    (row,) = read(text)
    assert (row.rps, row.duration_s, row.requests_ok) == pytest.approx((rate, 10, rate * 10))
    assert (row.mean_ms, row.p50_ms, row.p99_ms, row.max_ms) == (48.49, 44, 67, 1489)
    assert kinds(row) == set()


def test_autocannons_failures_are_in_its_rate_and_its_time_outs_are_not() -> None:
    plain = AUTOCANNON.format(average="2,177.2", every="once per second", samples=10, workers="", failures="{}")
    (half,) = read(plain.format("10886 2xx responses, 10886 non 2xx responses\n"))
    assert (half.requests_ok, half.errors) == (10886, 10886)
    assert kinds(half) == {"ErrorsSeen", "WrongCount"}
    (late,) = read(plain.format("") + "1k errors (12 timeouts)\n")
    assert (late.requests_ok, late.errors) == (21772, 1000)
    assert late.error_text == "988 × errors, 12 × time-outs"
    old = (
        "Running 10s test @ http://h/\n1 connections\n\nStat         Avg     Stdev  Max     \n"
        "Latency (ms) 242.4   351.36 1296.58 \nReq/Sec      1       0.45   2       \n"
        "Bytes/Sec    1.57 kB 701 B  3.19 kB \n\n10 requests in 10s, 15.8 kB read\n"
    )
    (row,) = read(old)
    assert (row.rps, row.requests_ok, row.mean_ms, row.max_ms) == (1, 10, 242.4, 1296.58)
    assert "nearest is autocannon text" in refusal(old.partition("Req/Sec")[0])


def test_locusts_json_says_what_its_csv_says() -> None:
    name = {
        "name": "/slow",
        "method": "GET",
        "last_request_timestamp": 1010.0,
        "start_time": 1000.0,
        "num_requests": 1000,
        "num_failures": 0,
        "total_response_time": 52_500.0,
        "max_response_time": 200.4,
        "response_times": {"50": 900, "90": 90, "200": 10},
    }
    (row,) = read(json.dumps([name], indent=4))
    assert (row.label, row.requests_ok, row.rps, row.mean_ms, row.max_ms) == ("GET /slow", 1000, 100, 52.5, 200.4)
    assert (row.p50_ms, row.p90_ms, row.p95_ms, row.p99_ms) == (50, 50, 90, 90)
    assert kinds(row) == set()
    assert kinds(read(json.dumps([name | {"num_failures": 500}]))[0]) == {"ErrorsSeen", "WrongCount"}
    assert kinds(read(json.dumps([name | {"num_requests": 0, "response_times": {}}]))[0]) == set()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            '{"type":"Metric","data":{"name":"http_reqs"},"metric":"http_reqs"}\n{"type":"Point","metric":"x"}\n',
            "k6 summary",
        ),
        ("metric_name,timestamp,metric_value,check\nhttp_reqs,1,1.0,\n", "k6 summary"),
        ("response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n", "hey text"),
        ("Method,Name,Error,Occurrences\nGET,/,500,7\n", "Locust statistics CSV"),
        ("Count,Message,Traceback,Nodes\n", "Locust statistics CSV"),
    ],
)
def test_other_files_of_a_tool_name_that_tools_format_as_the_nearest(text: str, says: str) -> None:
    assert f"nearest is {says}" in refusal(text)


def test_httparenas_reconnects_explain_time_outside_of_the_latency() -> None:
    row = {
        "framework": "x",
        "rps": 100_000,
        "avg_latency": "1.40ms",
        "connections": 4096,
        "duration": "5s",
        "status_2xx": 500_000,
    }
    (kept,) = read(json.dumps([row | {"reconnects": 0}]), "limited-conn-4096.json")
    (anew,) = read(json.dumps([row | {"reconnects": 50_000}]), "limited-conn-4096.json")
    assert (kinds(kept), kinds(anew)) == ({"LittleMismatch"}, set())
    (failed,) = read(json.dumps([row | {"status_2xx": 400_000, "status_5xx": 100_000, "reconnects": 50_000}]), "x.json")
    assert kinds(failed) == {"ErrorsSeen", "WrongCount"}


# --- figures that no latencies have together -------------------------------------------------------------------------

WRK_SHORT = """Running 10s test @ http://a/
  2 threads and {connections} connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     8.00ms    1.00ms  12.00ms   70.00%
    Req/Sec   625.00     10.00   700.00     70.00%
  12500 requests in 10.00s, 1.00MB read
Requests/sec:   1250.00
Transfer/sec:    102.40KB
"""
AUTOCANNON_TABLE = AUTOCANNON.format(average="2,177.2", every="once per second", samples=10, workers="", failures="")
K6_TEXT = (DATA / "tools" / "k6text-1.txt").read_text(encoding="utf-8")
BOMBARDIER = (DATA / "tools" / "bombardier-1.txt").read_text(encoding="utf-8")
AB_UNEVEN = (DATA / "recorded" / "ab-uneven.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "honest", "false"),
    [
        (WRK_SHORT.format(connections=10), "8.00ms    1.00ms", "8.00ms  400.00ms"),
        (WRK_SHORT.format(connections=10), "8.00ms    1.00ms", "8.00ms    7.00ms"),
        (H2LOAD_TIMED, "58.22ms      7.69ms", "58.22ms       7.69s"),
        (H2LOAD.format(mean="11us"), "11us         3us", "11us        30ms"),
        (BOMBARDIER, "8.30ms     3.83ms", "8.30ms      3.83s"),
        (AB_UNEVEN, "Total:          1   28  67.2", "Total:          1   28 672.2"),
        (AC_SLOW, '"stddev":4.6', '"stddev":214'),
        (AUTOCANNON_TABLE, "48.49 ms │ 75.13 ms", "48.49 ms │ 751.3 ms"),
    ],
)
def test_a_standard_deviation_beyond_what_mean_and_maximum_allow_refutes(text: str, honest: str, false: str) -> None:
    assert honest in text
    assert contradictions(read(text)[0]) == ""
    assert "a standard deviation of" in contradictions(read(text.replace(honest, false, 1))[0])


def test_an_impossible_deviation_excuses_nothing() -> None:
    """It made the end of the run as long as the run, and Little's law was no longer asked."""
    text = WRK_SHORT.format(connections=100)
    assert kinds(read(text)[0]) == {"LittleMismatch"}
    assert kinds(read(text.replace("1.00ms  12", "900.00ms  12"))[0]) == {"LittleMismatch", "WrongCount"}


def test_half_of_the_answers_at_either_end_scatter_as_far_as_answers_can() -> None:
    """Two answers of 1 and 99 ms: the sample's deviation is 69.3 ms."""
    text = WRK_SHORT.format(connections=10).replace("8.00ms    1.00ms  12.00ms", "50.00ms   69.30ms  99.00ms")
    assert contradictions(read(text.replace("12500 requests", "2 requests"))[0]).count("deviation") == 0


def test_clients_of_h2load_that_died_lost_their_requests_and_explain_that_few_were_at_work() -> None:
    """A server that closes every ninth connection: h2load opens none again, and counts what it had begun nowhere."""
    text = (DATA / "recorded" / "h2load-dropped.txt").read_text(encoding="utf-8")
    (row,) = read(text)
    assert (row.errors, row.error_text) == (9, "9 × begun and lost with its connection")
    assert kinds(row) == {"ErrorsSeen", "LoadUneven"}
    assert row.lived == pytest.approx(24 / (343.72 * 9))
    alive = H2LOAD_TIMED.replace(
        "16.74       16.74       16.74        0.00", "15.74       17.74       16.74        0.50"
    )
    (row,) = read(alive.replace("58.22ms", "  5.22ms").replace("50.63ms", " 1.63ms"))
    assert kinds(row) == {"LittleMismatch"}, "whose clients lived, and whose latency is none of this run"


@pytest.mark.parametrize("odd", ["8,00ms", "8.00", "8.00xs", "8.00MS"])
@pytest.mark.parametrize(
    ("text", "cell"),
    [
        (WRK_SHORT.format(connections=100), "8.00ms"),
        (WRK_SHORT.format(connections=100), "12.00ms"),
        ((DATA / "tools" / "wrk-3.txt").read_text(encoding="utf-8"), "{50%}"),
        (BOMBARDIER, "8.30ms"),
        (BOMBARDIER, "18.03ms"),
        (H2LOAD_TIMED, "58.22ms"),
        (H2LOAD.format(mean="11us"), "461us"),
        (HEY, "{Average}"),
        (K6_TEXT, "{avg}"),
    ],
)
def test_a_latency_without_a_unit_that_is_known_is_refused_and_not_passed_over(text: str, cell: str, odd: str) -> None:
    """Without its latency nothing was asked of a row."""
    if cell.startswith("{"):
        found = re.search(
            {"{50%}": r"50%\s+(\S+)", "{Average}": r"Average:\s+(\S+ secs)", "{avg}": r"avg=(\S+)"}[cell], text
        )
        assert found
        cell = found[1]
    assert cell in text
    read(text)
    if text == K6_TEXT and odd == "8.00":
        return  # a time in k6's text may have no unit
    assert f"{odd!r}, which is no time such as 12.34ms" in refusal(text.replace(cell, odd, 1))


def test_a_latency_of_autocannons_table_has_its_unit_and_one_that_is_not_a_number_is_unknown() -> None:
    assert "'48.49 xx', which is no time" in refusal(AUTOCANNON_TABLE.replace("48.49 ms", "48.49 xx"))
    none = WRK_SHORT.format(connections=100).replace("8.00ms", "-nanus")
    assert read(none)[0].mean_ms is None


AUTOCANNON_SHORT = """Running 2s test @ http://localhost:3000/
10 connections

│ Stat    │ 2.5%  │ 50%   │ 97.5% │ 99%   │ Avg      │ Stdev     │ Max      │
│ Latency │ 52 ms │ 60 ms │ 74 ms │ 80 ms │ 61.49 ms │ 5.13 ms   │ 89 ms    │
│ Stat      │ 1%     │ 2.5%   │ 50%      │ 97.5%    │ Avg     │ Stdev   │ Min    │
│ Req/Sec   │ 158    │ 158    │ 158      │ 160      │ 159     │ 1.00    │ 158    │
│ Bytes/Sec │ 25 kB  │ 25 kB  │ 25 kB    │ 25 kB    │ 25 kB   │ 100 B   │ 25 kB  │
│ Code │ Count │
│ 200  │ 318   │

Req/Bytes counts sampled once per second.
# of samples: 2

328 requests in 2.02s, 50 kB read
"""


@pytest.mark.parametrize(
    ("honest", "false", "says"),
    [
        ("160      │ 159 ", "160      │ 259 ", "259 requests in a sample on average, but 160 in the quickest"),
        ("in 2.02s", "in 20.02s", "a run of 20.0 s, but its samples take 2.00 s"),
        ("61.49 ms", "40.00 ms", "mean 40.0 ms below 97.5 % of p2.5 52.0 ms"),
        ("200  │ 318", "200  │ 31 ", "31 answers by status, but its samples hold 318"),
    ],
)
def test_what_autocannons_table_tells_twice_must_agree(honest: str, false: str, says: str) -> None:
    assert kinds(read(AUTOCANNON_SHORT)[0]) == {"TooFew"}
    assert says in contradictions(read(AUTOCANNON_SHORT.replace(honest, false, 1))[0])


def test_what_autocannons_table_tells_of_failures_is_said() -> None:
    (row,) = read(AUTOCANNON_SHORT.replace("200  │ 318", "500  │ 318"))
    assert (row.requests_ok, row.errors) == (0, 318)
    assert "ErrorsSeen" in kinds(row)
    (row,) = read(AUTOCANNON_SHORT.replace("328 requests in", "322k requests in"))
    assert "sent and lost" in row.error_text


@pytest.mark.parametrize(
    ("honest", "false", "says"),
    [
        ('"min":50,', '"min":80,', "a latency of 80.0 ms at least, but a percentile of 50.0 ms"),
        ('"p99_9":87', '"p99_9":870', "p99.9 870 ms above p99.99 87.0 ms"),
        ('"totalCount":570', '"totalCount":57', "57 latencies, but 570 answers of 2xx"),
        ('"errors":0', '"errors":-3', "-3 of errors, but no count is less than 0"),
        ('"timeouts":0', '"timeouts":3', "3 time-outs, but 0 errors with them"),
        ('"min":190,"max":190,', '"min":190,"max":20,', "in the slowest sample, but 20 in the quickest"),
    ],
)
def test_what_autocannons_json_tells_twice_must_agree(honest: str, false: str, says: str) -> None:
    assert honest in AC_SLOW
    assert contradictions(read(AC_SLOW)[0]) == ""
    assert says in contradictions(read(AC_SLOW.replace(honest, false, 1))[0])


def test_a_percentile_of_three_answers_may_be_the_one_above_it() -> None:
    row = Figures(id="a", mean_ms=34.0, p50_ms=100.0, max_ms=100.0, timed=3)
    assert "WrongCount" not in kinds(row)
    assert "WrongCount" in kinds(replace(row, timed=300))


@pytest.mark.parametrize(
    ("text", "honest", "false", "says"),
    [
        (K6_TEXT, "2853   104.09786/s", "2853   208.2/s", "2,852 iterations at 104/s take 27.4 s"),
        (
            K6_TEXT,
            "0.00%  0 out of 2853",
            "50.00%  0 out of 2853",
            "50.0 % of the requests failed, but 0 of 2,853",
        ),
        (K6_TEXT, "0.00%  0 out of 2853", "50.00% ✓ 0 ✗ 2853", "50.0 % of the requests failed, but 0 of 2,853"),
        (K6_TEXT, "0 out of 2853", "0 out of 9853", "9,853 requests failed or not, but 2,853 in all"),
        (BOMBARDIER, "12044.00    1609.70      15369", "12044.00    1609.70       9369", "9,370/s in the quickest"),
        (BOMBARDIER, "2xx - 1000000", "2xx - 0", "12,000/s, but no request by its codes"),
        (WRK_SHORT.format(connections=10), "1250.00", "1262.50", "12,500 requests in 10.0 s are 1,250/s"),
        (WRK_SHORT.format(connections=10), "102.40KB", "204.80KB", "204.80KB/s transferred, but 1.00MB were read"),
        (WRK_SHORT.format(connections=10), "  2 threads", "  20 threads", "20 threads, but 10 connections"),
        (WRK_SHORT.format(connections=10), "12.00ms   70.00%", "12.00ms  188.25%", "188.25% of Latency within"),
        (
            WRK_SHORT.format(connections=10),
            "Requests/sec",
            "  Socket errors: connect 0, read -5, write 0, timeout 0\nRequests/sec",
            "-5 socket errors",
        ),
    ],
)
def test_what_a_tool_divides_and_bounds_itself_must_agree(text: str, honest: str, false: str, says: str) -> None:
    assert honest in text
    assert says not in contradictions(read(text)[0])
    assert says in contradictions(read(text.replace(honest, false, 1))[0])


@pytest.mark.parametrize(
    ("honest", "false", "says"),
    [
        ("Complete requests:      342", "Complete requests:      345", "345 requests in 1.08 s are"),
        ("31.652 [ms]", "13.652 [ms]", "13.652 ms per request, but 316/s are 31.7 ms for each of 10 connections"),
        ("3.165 [ms]", "1.365 [ms]", "1.365 ms per request, but 316/s are 3.17 ms across all"),
        ("27.15 [Kbytes", "72.15 [Kbytes", "72.15 Kbytes/s, but 30,096 bytes in 1.08 s are 27.1"),
        ("100%    339", "100%    439", "a longest request of 439 ms, but a maximum of 339 ms"),
        ("67.2      3     339", "67.2     30     339", "a median of 30 ms, but half of the requests within 3 ms"),
        ("Waiting:        1   27", "Waiting:        1   72", "Waiting of 72 ms on average, but Total is 28 ms"),
        ("Processing:     1   28", "Processing:     1   82", "Processing of 82 ms on average, but Total is 28 ms"),
        ("HTML transferred:       5814", "HTML transferred:       58140", "58,140 bytes of bodies, but 30,096 bytes"),
        ("Failed", "Keep-Alive requests:    999\nFailed", "999 keep-alive requests, but 342 requests in all"),
    ],
)
def test_what_ab_prints_twice_must_agree(honest: str, false: str, says: str) -> None:
    assert honest in AB_UNEVEN
    assert contradictions(read(AB_UNEVEN)[0]) == ""
    assert says in contradictions(read(AB_UNEVEN.replace(honest, false, 1))[0])
