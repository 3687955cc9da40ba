"""What other tools tell twice: the honest file passes, and with one figure changed it is refuted by both of them."""

from __future__ import annotations

import re
import types
from dataclasses import replace
from pathlib import Path

import pytest

from sgibench import audit
from sgibench.audit import Figures, readers
from sgibench.errors import UsageError

DATA = Path(__file__).parent / "data" / "audit"
HEY = (DATA / "recorded" / "hey-quick.txt").read_text(encoding="utf-8")
H2LOAD = (DATA / "recorded" / "h2load-ok.txt").read_text(encoding="utf-8")
H2LOAD_TIMED = (DATA / "recorded" / "h2load-D.txt").read_text(encoding="utf-8")
H2LOAD_DROPPED = (DATA / "recorded" / "h2load-dropped-n.txt").read_text(encoding="utf-8")
WRK_CLOSED = (DATA / "recorded" / "wrk-http10.txt").read_text(encoding="utf-8")
BOMBARDIER = (DATA / "tools" / "bombardier-1.txt").read_text(encoding="utf-8")
AB = (DATA / "recorded" / "ab-uneven.txt").read_text(encoding="utf-8")
AB_FAILED = (DATA / "recorded" / "ab-sometimes.txt").read_text(encoding="utf-8")
LOCUST = """Type,Name,Request Count,Failure Count,Median Response Time,Average Response Time,Min Response Time,\
Max Response Time,Average Content Size,Requests/s,Failures/s,50%,66%,75%,80%,90%,95%,98%,99%,99.9%,99.99%,100%
GET,/,887,0,50,54.22917733987659,40.8957069949246943,93.87036400905345,100.0,221.47752951329028,0.0,50,60,70,80,80,\
81,83,85,94,94,94
GET,/b,276,0,50,53.32874347400122,41.0045219969470054,84.699737002956681,100.0,68.91521775159877,0.0,50,60,70,70,80,\
81,81,83,85,85,85
,Aggregated,1163,0,50,54.01548882140574,40.8957069949246943,93.87036400905345,100.0,290.39274726488907,0.0,50,60,70,\
70,80,81,83,84,88,94,94
"""
LOCUST_CONSOLE = (DATA / "recorded" / "locust-console.txt").read_text(encoding="utf-8")


def refutations(text: str, name: str = "file.txt") -> str:
    """Give the details of all doubts that refute a row of a text."""
    rows = audit.audit_rows(audit.read_rows(text, name))
    return "; ".join(each.detail for row in rows for each in row.doubts if each.kind in audit.REFUTING)


def planted(text: str, honest: str, false: str) -> str:
    """Change one place of a text, from its end where it stands more than once."""
    assert honest in text
    before, _honest, after = text.rpartition(honest)
    return f"{before}{false}{after}"


@pytest.mark.parametrize(
    ("honest", "false", "says"),
    [
        (
            "HTML transferred:       5814",
            "HTML transferred:       9814",
            "9,814 bytes of bodies, but 342 requests of 17",
        ),
        (
            "HTML transferred:       5814",
            "HTML transferred:       2814",
            "2,814 bytes of bodies, but 342 requests of 17",
        ),
        ("Document Length:        17", "Document Length:        34", "5,814 bytes of bodies, but 342 requests of 34"),
        ("HTML transferred:       5814", "HTML transferred:       27814", "2,282 bytes of heads, but 342 answers"),
    ],
)
def test_abs_bodies_are_as_many_as_its_requests_and_as_long_as_the_first(honest: str, false: str, says: str) -> None:
    assert refutations(AB) == ""
    assert says in refutations(planted(AB, honest, false))


def test_abs_answers_of_another_length_may_have_any_length_but_the_others_have_theirs() -> None:
    assert "bodies" not in refutations(AB_FAILED)
    longer = planted(
        planted(AB_FAILED, "HTML transferred:       5200", "HTML transferred:       15200"), "31200", "41200"
    )
    assert "bodies" not in refutations(longer)
    fewer = planted(AB_FAILED, "HTML transferred:       5200", "HTML transferred:       1300")
    assert "1,300 bytes of bodies, but 400 of 500 requests have 13 bytes each" in refutations(fewer)


@pytest.mark.parametrize("length", ["Variable", "17 bytes\n\nConcurrency achieved:   10"])
def test_abs_bodies_are_not_asked_where_answers_of_another_length_are_no_failures(length: str) -> None:
    text = planted(AB, "HTML transferred:       5814", "HTML transferred:       9814")
    assert refutations(planted(text, "17 bytes", length)) == ""


@pytest.mark.parametrize(
    ("honest", "false", "says"),
    [
        ("8121.1462", "8203.1462", "8,203.15/s, but 16,258 requests in 2.00 s are 8,121.28/s"),
        ("[200]\t16258", "[200]\t16198", "16,258 answers in its histogram, but 16,198 by status"),
        ("0.001 [12864]", "0.001 [2864]", "6,258 answers in its histogram, but 16,258 by status"),
        ("Size/request:\t100 bytes", "Size/request:\t400 bytes", "400 bytes each, but 1,625,800 bytes for 16,258"),
        (
            "  0.009 [7]",
            "  0.039 [7]",
            "a histogram with a mark at 39.0 ms, but from 100 µs to 9.40 ms it is at 9.40 ms",
        ),
        ("99% in 0.0034", "99% in 0.0064", "99 % within 6.40 ms, but its histogram has that answer between 3.00 ms"),
        ("Average:\t0.0007", "Average:\t0.0027", "an average of 2.70 ms, but its histogram has it between"),
        ("resp wait:\t0.0007", "resp wait:\t0.0047", "4.70 ms to connect, write, wait and read on average, but 700 µs"),
    ],
)
def test_what_hey_tells_twice_must_agree_to_its_digits(honest: str, false: str, says: str) -> None:
    assert refutations(HEY) == ""
    assert says in refutations(planted(HEY, honest, false))


def test_a_wait_of_hey_that_is_longer_than_any_answer_is_its_clock_and_no_contradiction() -> None:
    """An answer that comes before its request is wholly written waits since the run began, as hey has it."""
    text = planted(HEY, "resp wait:\t0.0007 secs, 0.0000 secs, 0.0089", "resp wait:\t0.0147 secs, 0.0000 secs, 1.9089")
    assert refutations(text) == ""


def test_errors_of_hey_that_begin_alike_are_all_counted() -> None:
    far = f'Get "http://h/{"x" * 100}'
    text = f"{HEY.rstrip()}\n\nError distribution:\n  [3]\t{far}1\n  [4]\t{far}2\n"
    (row,) = audit.read_rows(text, "file.txt")
    assert row.errors == 7


def test_the_average_of_hey_beyond_a_million_answers_is_none() -> None:
    """It is the time of all answers by the million that it keeps."""
    million = re.sub(r"16258 responses", "1000000 responses", HEY).replace("8121.1462", "500000.0000")
    (row,) = audit.read_rows(million, "file.txt")
    assert (row.mean_ms, row.printed_mean_ms) == (None, None)


def test_heys_run_beside_ohas_is_read_as_heys() -> None:
    oha = (DATA / "tools" / "ohatext-2.txt").read_text(encoding="utf-8")
    (alone,) = audit.read_rows(HEY, "file.txt")
    beside = audit.read_rows(f"{HEY}\n{oha}", "file.txt")[0]
    assert replace(beside, id="") == replace(alone, id="")


@pytest.mark.parametrize(
    ("text", "honest", "false", "says"),
    [
        (H2LOAD, "13446.53 req/s", "13646.53 req/s", "13,646.5/s, but 20,000 answers in 1.49 s are 13,422.8/s"),
        (H2LOAD_TIMED, "170.00 req/s", "171.00 req/s", "171.000/s, but 340 answers in 2.00 s are 170.000/s"),
        (H2LOAD, "1346.62        1.54", "1446.62        1.54", "1,450/s of a client on average, but 1,350 to 1,350/s"),
    ],
)
def test_h2loads_rate_agrees_with_its_count_to_its_digits(text: str, honest: str, false: str, says: str) -> None:
    assert refutations(text) == ""
    assert says in refutations(planted(text, honest, false))


def test_clients_of_h2load_that_died_explain_few_at_work_in_a_run_by_number_too() -> None:
    (row,) = audit.audit_rows(audit.read_rows(H2LOAD_DROPPED, "file.txt"))
    assert {each.kind for each in row.doubts} == {"ErrorsSeen", "LoadUneven"}
    untold = H2LOAD_DROPPED.partition("req/s  ")[0]
    assert "2.07 connections at work, of 9" in refutations(untold), "where nothing tells for how long they lived"
    waited = planted(H2LOAD_DROPPED, "0 timeout", "9 timeout")
    assert "2.07 connections at work, of 9" in refutations(waited), "those that waited lived, and stood still"


def test_a_server_that_closes_after_each_answer_explains_few_at_work_only_as_far_as_opening_takes() -> None:
    """Nothing is told by wrk of the connections that it opens anew."""
    (row,) = audit.audit_rows(audit.read_rows(WRK_CLOSED, "file.txt"))
    assert [each.kind for each in row.doubts] == ["LoadUneven"]
    assert "20.2 ms to open a connection for each of them, which is told nowhere" in row.doubts[0].detail
    few = WRK_CLOSED.replace("11.45ms    7.25ms  44.66ms", " 3.45ms    2.25ms  14.66ms")
    assert "14.0 connections at work, of 128" in refutations(few), "longer than two answers of 3.45 ms"
    quick = WRK_CLOSED.replace("8245 req", "824500 req").replace("4044.62", "404462.00").replace("169.84K", "16.59M")
    quick = quick.replace("346.23K", "33.81M").replace("11.45ms    7.25ms  44.66ms", "100.00us   20.00us   0.90ms")
    assert "40.4 connections at work, of 128" in refutations(quick), "no thread opens 400,000 in a second"


@pytest.mark.parametrize(
    ("honest", "false", "says"),
    [
        ("12044.00", "24088.00", "24,100/s on average, but 1,000,000 in at least 1 min 23 s are 12,000/s"),
        ("8.30ms", "4.10ms", "12,000/s on average, but 2,500,000 in"),
        ("2xx - 1000000", "2xx - 2000000", "2,000,000 requests, but it was to make 1,000,000"),
        ("8.30ms", "16.60ms", "take 2 min 46 s, but the run took 1 min 24 s at most"),
    ],
)
def test_bombardiers_mean_of_samples_is_near_its_count_by_its_time(honest: str, false: str, says: str) -> None:
    text = BOMBARDIER.replace("15369", "30738")
    assert refutations(text) == ""
    if "2,500,000" in says:
        text = text.replace("2xx - 1000000", "2xx - 2500000").replace("with 1000000", "with 2500000")
    assert says in refutations(planted(text, honest, false))


def test_the_last_sample_of_a_short_run_of_bombardier_may_be_most_of_its_mean() -> None:
    """500 requests in 48 ms: two samples of 20 ms and one that ends at once."""
    short = BOMBARDIER.replace("1000000", "500").replace("1m23s", "0s").replace("12044.00    1609.70      15369", (
        "24088.00   20000.00      50000"
    ))  # fmt: skip
    assert refutations(short.replace("8.30ms", "9.60ms")) == ""


@pytest.mark.parametrize(
    ("honest", "false", "says"),
    [
        ("Aggregated,1163,0", "Aggregated,2163,0", "2,163 requests in all, but its 2 rows have 1,163"),
        ("Aggregated,1163,0", "Aggregated,1163,9", "9 failures in all, but its 2 rows have 0"),
        ("290.39274726488907", "299.49274726488907", "299/s in all, but its rows make 290/s together"),
        (",40.8957069949246943,93.87", ",10.8957069949246943,93.87", "a minimum of 10.9 ms in all, but 40.9 ms"),
        (",93.87036400905345,100.0,290", ",393.87036400905345,100.0,290", "a maximum of 394 ms in all, but 93.9 ms"),
        (
            "1163,0,50,54.01548882140574",
            "1163,0,50,59.01548882140574",
            "a mean of 59.0 ms in all, but that of its rows",
        ),
        ("70,80,81,83,84,88,94,94\n", "70,90,91,93,94,94,94,94\n", "p90 of 90.0 ms in all, but 80.0 ms in its rows"),
        ("GET,/,887,0,50", "GET,/,887,0,30", "a median of 30.0 ms, but half of the requests within 50.0 ms"),
        ("GET,/b,276,0,50", "GET,/b,276,0,60", "a median of 60.0 ms, but half of the requests within 50.0 ms"),
    ],
)
def test_locusts_aggregate_adds_up_to_its_rows_and_its_two_medians_are_one(honest: str, false: str, says: str) -> None:
    assert refutations(LOCUST, "x_stats.csv") == ""
    assert says in refutations(planted(LOCUST, honest, false), "x_stats.csv")


def test_of_an_even_count_older_locusts_print_the_lower_of_the_middle_two() -> None:
    assert refutations(LOCUST.replace("GET,/b,276,0,50", "GET,/b,276,0,42"), "x_stats.csv") == ""


def test_the_aggregate_of_locusts_console_adds_up_to_its_rows() -> None:
    assert "in all" not in refutations(LOCUST_CONSOLE)
    false = re.sub(r"(Aggregated +)1727( +149)", r"\g<1>1927\2", LOCUST_CONSOLE)
    assert "1,927 requests in all, but its 4 rows have 1,727" in refutations(false)


def test_failures_of_exactly_two_per_cent_are_told_and_refute_nothing() -> None:
    """No difference below delta is one; beyond it the rate is not that of right answers."""
    row = Figures(id="a", rps=100.0, duration_s=1.0, requests_ok=98.0, errors=2.0)
    kinds = [{each.kind for each in audit.doubts_of(replace(row, requests_ok=right))} for right in (98.0, 97.9)]
    assert kinds == [{"ErrorsSeen"}, {"ErrorsSeen", "WrongCount"}]


WRK = (DATA / "tools" / "wrk-3.txt").read_text(encoding="utf-8")


def in_arabic(text: str) -> str:
    """Write figures with Arabic-Indic digits."""
    return text.translate({ord("0") + digit: chr(0x660 + digit) for digit in range(10)})


@pytest.mark.parametrize("figure", ["5404", "551922", "9184.33", "3.97ms"])
def test_a_figure_in_the_digits_of_another_script_is_refused_and_not_passed_over(figure: str) -> None:
    with pytest.raises(UsageError) as caught:
        audit.read_rows(planted(WRK, figure, in_arabic(figure)), "notes.txt")
    assert "\n" not in str(caught.value)


def test_names_and_prose_may_hold_digits_of_any_script() -> None:
    assert audit.read_rows(f"تجربة {in_arabic('2026')}\n\n{WRK}", "n.txt") == audit.read_rows(WRK, "n.txt")
    (row,) = audit.read_rows(f"id,rps\nrun {in_arabic('7')},100\n", "rows.csv")
    assert row.id == f"run {in_arabic('7')}"


def test_no_pattern_of_a_reader_takes_digits_of_other_scripts() -> None:
    modules = [each for each in vars(readers).values() if isinstance(each, types.ModuleType)]
    patterns = [
        each for module in modules for each in vars(module).values()
        if isinstance(each, re.Pattern) and isinstance(each.pattern, str)
    ]  # fmt: skip
    assert patterns
    assert [each.pattern for each in patterns if r"\d" in each.pattern] == []
