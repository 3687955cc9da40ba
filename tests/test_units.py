"""Durations, sizes and rates read and written for people."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from sgibench import units


@pytest.mark.parametrize(
    ("text", "seconds"), [("100ms", 0.1), ("3s", 3.0), ("1.5", 1.5), ("2min", 120.0), ("250 us", 0.00025)]
)
def test_durations_are_read_in_the_units_people_write(text: str, seconds: float) -> None:
    assert units.parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "fast", "3 parsecs", "-1s", "1s2"])
def test_a_duration_that_is_none_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 100ms"):
        units.parse_seconds(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0000123, "12.3 µs"),
        (0.0123, "12.3 ms"),
        (1.5, "1.50 s"),
        (95, "1 min 35 s"),
        (3700, "1 h 1 min 40 s"),
        (0, "0 s"),
        (None, "–"),
    ],
)
def test_durations_are_written_with_three_digits(value: float | None, text: str) -> None:
    assert units.seconds(value) == text


@pytest.mark.parametrize("write", [units.seconds, units.microseconds, units.significant])
@pytest.mark.parametrize("value", [math.inf, math.nan, 1e-320, 1e308])
def test_what_a_strangers_file_divides_is_written_whatever_comes_out(
    write: Callable[[float], str], value: float
) -> None:
    assert write(value) == units.NOT_MEASURED or any(sign.isdigit() for sign in write(value))
    assert math.isfinite(value) or write(value) == units.NOT_MEASURED


@pytest.mark.parametrize(
    ("value", "text"), [(12345.6, "12,300/s"), (99999.6, "100,000/s"), (0.5, "0.500/s"), (None, "–")]
)
def test_rates_are_written_with_three_digits(value: float | None, text: str) -> None:
    assert units.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3300.0, "3,300/s"), (17, "17/s"), (0.25, "0.25/s"), (12345.0, "12,345/s"), (None, "–")]
)
def test_rates_that_were_asked_for_are_written_as_they_were(value: float | None, text: str) -> None:
    assert units.asked_rate(value) == text


@pytest.mark.parametrize(("value", "text"), [(512, "512 B"), (52428800, "50.0 MiB"), (3 * 2**30, "3.00 GiB")])
def test_sizes_are_written_in_binary_units(value: int, text: str) -> None:
    assert units.size(value) == text
