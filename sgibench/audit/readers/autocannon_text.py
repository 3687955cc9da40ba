"""autocannon's table, which is what it prints unless it is asked for JSON; several runs may follow one another.

The figures are those of the JSON (`autocannon`), less what it leaves out: neither the answers nor what is still under
way are printed, so the answers are average × samples, and connections are left out (a rate, `-R`, is not told either).
`N requests in` are those sent. Numbers are written as the machine's language writes them. Latencies are whole
milliseconds: of those under 10 ms only the order is asked.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from sgibench.audit.figures import Figures, Twice
from sgibench.audit.readers.fields import TIME, counted, known_times, labels, sections, time_ms
from sgibench.audit.readers.material import Material
from sgibench.audit.readers.moments import Moments
from sgibench.units import seconds, significant

START = re.compile(r"Running \S{1,20}(?: requests)? test @ (?P<url>\S{1,500})[ \t]*\n\s*[0-9]+ connections")
RATES = re.compile(r"^[ \t]*[│|]?[ \t]*Req/Sec[ \t]*[│|]?[ \t]+(?P<cells>\S.*)$", re.MULTILINE)
SENT = re.compile(rf"(?P<count>[0-9][0-9.,]*[kM]?) requests in (?P<time>{TIME}), [0-9]")
_LATENCIES = re.compile(r"^[ \t]*[│|]?[ \t]*Latency(?: \(ms\))?[ \t]*[│|]?[ \t]+(?P<cells>\S.*)$", re.MULTILINE)
_HEAD = re.compile(r"^[ \t]*[│|]?[ \t]*Stat[ \t]*[│|]?[ \t]+(?P<cells>\S.*)$", re.MULTILINE)
_SAMPLES = re.compile(r"# of samples: ([0-9]+)")
_EVERY = re.compile(r"sampled every ([0-9]+(?:\.[0-9]+)?) seconds")
_WORKERS = re.compile(r"^[ \t]*([0-9]+) workers\s*$", re.MULTILINE)
_ANSWERS = re.compile(r"(?P<right>[0-9]+) 2xx responses, (?P<wrong>[0-9]+) non 2xx responses")
_ERRORS = re.compile(r"(?P<all>[0-9][0-9.]*[kM]?) errors \((?P<late>[0-9][0-9.]*[kM]?) timeouts\)")
_DIFFER = re.compile(r"(?P<all>[0-9][0-9.]*[kM]?) requests with mismatched body")
_BOX = re.compile(r"[│|]")
_NUMBER = re.compile(r"(?P<whole>[0-9]{1,3}(?:[., \u202f\u2019'][0-9]{3})*|[0-9]+)(?:[.,](?P<part>[0-9]{1,2}))?")
_THOUSANDS = {"k": 1e3, "M": 1e6, "": 1.0}
_PLACES = re.compile(r"^[ \t]*([0-9]{1,9}) connections(?: with ([0-9]{1,9}) pipelining factor)?", re.MULTILINE)
_STATUS = re.compile(
    r"^[ \t]*[│|][ \t]*(?P<code>[1-5][0-9][0-9])[ \t]*[│|][ \t]*(?P<count>[0-9]{1,15})[ \t]*[│|][ \t]*$", re.MULTILINE
)
_ROUNDED = 0.02
"""Its histogram of samples keeps three digits, and what was sent is printed in thousands."""
_ALL_SAMPLES = 20
"""Of so few, the 97.5th percentile is the largest."""
_LATE_SAMPLES, _LATE_S = 2.0, 2.0
"""A busy machine takes its samples late."""
_QUANTILES = (("2.5%", 0.025), ("50%", 0.5), ("97.5%", 0.975), ("99%", 0.99))
_COARSE_MS = 10.0
_RESOLUTION = 0.05
_STEP_MS = 1.0


def read(material: Material) -> list[Figures]:
    """Read every run of the text."""
    runs = sections(material.plain, START)
    return [_row(run, name) for run, name in zip(runs, labels(material.name, runs), strict=True)]


def _row(run: str, name: str) -> Figures:
    rates, latencies = _table(run, RATES), _table(run, _LATENCIES)
    average, sent, url = _plain(rates.get("Avg", "")), SENT.search(run), START.search(run)
    if average is None or sent is None:
        raise ValueError(f"{name} has no {'`Req/Sec` with an `Avg`' if average is None else '`… requests in …s`'}")
    every, workers, samples = _EVERY.search(run), _WORKERS.search(run), _SAMPLES.search(run)
    each_s = float(every[1]) if every else 1.0
    lasted_s = (time_ms(sent["time"]) or 0.0) / 1e3
    # Workers sample side by side and add their samples; old versions print none: whole seconds.
    taken_s = float(samples[1]) * each_s / float(workers[1] if workers else 1) if samples else float(int(lasted_s))
    known_times(name, "Latency", (f"{cell}ms" if cell[-1:].isdigit() else cell for cell in latencies.values()))
    answers, failed = average / each_s * taken_s, _failed(run)
    at = {q: _ms(latencies.get(column)) for column, q in _QUANTILES}
    moments = Moments(
        mean_ms=_printed(latencies.get("Avg")),
        spread_ms=_printed(latencies.get("Stdev")),
        max_ms=_printed(latencies.get("Max")),
        step_ms=_STEP_MS,
    )
    failed |= {"sent and lost": _lost(run, sent, answers + sum(failed.values()), average)}
    wrong = sum(count for what, count in failed.items() if what in _ANSWERED_WRONG)
    return Figures(
        id=name,
        label=url["url"] if url else "",
        duration_s=taken_s,
        requests_ok=max(answers - wrong, 0.0),
        errors=sum(failed.values()),
        answered_wrong=wrong,
        timed=answers,
        error_text=counted(failed),
        rps=average / each_s,
        mean_ms=_ms(latencies.get("Avg")),
        p50_ms=at[0.5],
        p99_ms=at[0.99],
        max_ms=_ms(latencies.get("Max")),
        quantiles_ms=tuple((q, value) for q, value in at.items() if value is not None),
        printed_ms=tuple(
            (q, value)
            for column, q in (*_QUANTILES, ("Max", 1.0))
            if (value := _printed(latencies.get(column))) is not None
        ),
        printed_mean_ms=_printed(latencies.get("Avg")),
        resolution=_RESOLUTION,
        resolution_ms=_STEP_MS,
        twice=(*moments.told_twice(), *_told_twice(run, rates, answers, average), _time_twice(lasted_s, taken_s)),
    )


_ANSWERED_WRONG = ("not 2xx (redirects among them)", "bodies that differ")


def _sent(found: re.Match[str]) -> float:
    text = found["count"]
    unit = text[-1:] if text[-1:] in "kM" else ""
    return (_plain(text.removesuffix(unit)) or 0.0) * _THOUSANDS[unit]


def _lost(run: str, sent: re.Match[str], known: float, sample: float) -> float:
    """Give what was sent beyond all that ended or was under way; the last sample may be cut off."""
    places, many = _PLACES.search(run), _sent(sent)
    under_way = float(places[1]) * float(places[2] or 1) if places else 0.0
    lost = many * (1 - _ROUNDED) - known - under_way - sample
    return lost if places and lost > 0 else 0.0


def _told_twice(run: str, rates: Mapping[str, str], answers: float, sample: float) -> Iterator[Twice]:
    """Compare what it counts twice; one sample more or less is what the end of a run cuts off."""
    by_status = sum(float(each["count"]) for each in _STATUS.finditer(run))
    if by_status:
        yield Twice(
            told=f"{by_status:,.0f} answers by status",
            parts=f"its samples hold {answers:,.0f}",
            agree=abs(by_status - answers) <= _ROUNDED * answers + sample,
        )
    samples = _SAMPLES.search(run)
    few = samples is not None and float(samples[1]) <= _ALL_SAMPLES and not _WORKERS.search(run)
    most = _plain(rates.get("Max") or (rates.get("97.5%", "") if few else ""))
    if most is not None:
        yield Twice(
            told=f"{significant(sample)} requests in a sample on average",
            parts=f"{significant(most)} in the quickest",
            agree=sample <= most * (1 + _ROUNDED) + 1,
        )


def _time_twice(lasted_s: float, taken_s: float) -> Twice:
    return Twice(
        told=f"a run of {seconds(lasted_s)}",
        parts=f"its samples take {seconds(taken_s)}",
        agree=taken_s / _LATE_SAMPLES - _LATE_S <= lasted_s <= taken_s * _LATE_SAMPLES + _LATE_S,
    )


def _failed(run: str) -> dict[str, float]:
    answers, errors, differ = _ANSWERS.search(run), _ERRORS.search(run), _DIFFER.search(run)
    by_status = sum(float(each["count"]) for each in _STATUS.finditer(run) if each["code"][0] != "2")
    late = _short(errors["late"]) if errors else 0.0
    return {
        _ANSWERED_WRONG[0]: max(float(answers["wrong"]) if answers else 0.0, by_status),
        "errors": max((_short(errors["all"]) if errors else 0.0) - late, 0.0),
        "time-outs": late,
        _ANSWERED_WRONG[1]: _short(differ["all"]) if differ else 0.0,
    }


def _table(run: str, row: re.Pattern[str]) -> Mapping[str, str]:
    """Give a row's cells by the names of the head above it."""
    found = row.search(run)
    heads = [head["cells"] for head in _HEAD.finditer(run, 0, found.start())] if found else []
    return dict(zip(_split(heads[-1]), _split(found["cells"]), strict=False)) if found and heads else {}


def _split(cells: str) -> list[str]:
    """Old versions draw no box; then no cell of these rows holds a blank."""
    parts = _BOX.split(cells) if _BOX.search(cells) else cells.split()
    return [part.strip() for part in parts if part.strip()]


def _plain(text: str) -> float | None:
    """Read 12,398 and 2,177.2, and 2.177,2 and 2 177,2 of other languages: thousands have three digits."""
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        return None
    return float(f"{re.sub(r'[^0-9]', '', found['whole'])}.{found['part'] or 0}")


def _short(text: str) -> float:
    """Read 735, 12k, 1.5M."""
    unit = text[-1:] if text[-1:] in "kM" else ""
    return float(text.removesuffix(unit)) * _THOUSANDS[unit]


def _printed(text: str | None) -> float | None:
    value = (text or "").removesuffix("ms").strip()
    return float(value) if re.fullmatch(r"[0-9]{1,15}(?:\.[0-9]{1,9})?", value) else None


def _ms(text: str | None) -> float | None:
    found = _printed(text)
    return None if found is None or found < _COARSE_MS else found
