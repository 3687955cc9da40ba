"""The histogram keeps three digits at every scale, merges exactly, and survives storage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench.histogram import LONGEST_NS, Histogram, bucket_of, buckets_of
from sgibench.model import HistogramData
from sgibench.model.window import BUCKETS

LATENCIES = st.lists(st.integers(0, LONGEST_NS), min_size=1, max_size=200)


def of(*latencies_ns: int) -> Histogram:
    histogram = Histogram()
    histogram.record(latencies_ns)
    return histogram


@given(LATENCIES)
def test_one_by_one_and_as_an_array_latencies_fall_into_the_same_buckets(latencies: list[int]) -> None:
    assert buckets_of(np.asarray(latencies)).tolist() == [bucket_of(latency) for latency in latencies]


@given(st.integers(0, LONGEST_NS))
def test_a_single_latency_is_read_back_to_three_digits(latency_ns: int) -> None:
    read = of(latency_ns).percentile_us(0.5)
    assert read == pytest.approx(latency_ns / 1000, rel=0.0005, abs=1e-9)


@given(LATENCIES, st.sampled_from([0.0, 0.01, 0.5, 0.9, 0.99, 0.999, 1.0]))
def test_percentiles_agree_with_the_sorted_sample(latencies: list[int], q: float) -> None:
    truth = float(np.quantile(np.asarray(latencies), q, method="inverted_cdf")) / 1000
    assert of(*latencies).percentile_us(q) == pytest.approx(truth, rel=0.0005, abs=1e-9)


@given(LATENCIES, LATENCIES)
def test_merging_is_the_same_as_recording_everything_in_one(first: list[int], second: list[int]) -> None:
    merged = Histogram.merged([of(*first), of(*second)])
    assert merged == of(*first, *second)
    assert merged.count == len(first) + len(second)


@given(LATENCIES)
def test_what_is_stored_comes_back_the_same(latencies: list[int]) -> None:
    histogram = of(*latencies)
    assert Histogram.from_data(histogram.to_data()) == histogram


def test_percentiles_of_one_to_a_hundred_microseconds_are_those_worked_out_by_hand() -> None:
    histogram = of(*(value * 1000 for value in range(1, 101)))
    assert histogram.percentile_us(0.5) == pytest.approx(50, rel=0.0005)
    assert histogram.percentile_us(0.99) == pytest.approx(99, rel=0.0005)
    assert histogram.percentile_us(1.0) == pytest.approx(100, rel=0.0005)
    assert histogram.mean_us == pytest.approx(50.5, rel=0.0005)
    assert histogram.above(90) == 10


def test_the_distribution_rises_to_one_over_the_used_buckets_only() -> None:
    latency_us, share = of(1000, 1000, 2000, 5_000_000).cdf()
    assert latency_us.tolist() == pytest.approx([1.0, 2.0, 5000.0], rel=0.0005)
    assert share.tolist() == [0.5, 0.75, 1.0]


def test_an_empty_histogram_has_no_percentile_and_no_mean() -> None:
    empty = Histogram()
    assert (empty.count, empty.mean_us, empty.max_us, empty.percentile_us(0.5)) == (0, None, None, None)
    assert empty.to_data() == HistogramData(gaps=(), counts=())


def test_latencies_beyond_the_scale_count_at_its_ends() -> None:
    assert of(-5).percentile_us(1.0) == 0
    assert of(LONGEST_NS * 4).count == 1


def test_broken_data_is_refused() -> None:
    with pytest.raises(ValueError, match="as many gaps as counts"):
        HistogramData(gaps=(1,), counts=())
    with pytest.raises(ValueError, match="buckets below"):
        HistogramData(gaps=(10**9,), counts=(1,))
    with pytest.raises(ValueError, match="counts of at least 0"):
        HistogramData(gaps=(1, 1), counts=(5, -1))
    assert bucket_of(LONGEST_NS) == BUCKETS - 1
    assert Histogram.from_data(HistogramData(gaps=(BUCKETS - 1,), counts=(1,))).count == 1
    with pytest.raises(ValueError, match="expected a share"):
        of(1).percentile_us(99)


def test_nothing_is_read_from_among_lower_bounds_and_what_lies_below_them_is_exact() -> None:
    histogram = Histogram()
    histogram.record([1_000_000] * 98 + [3_000_000_000] * 2)
    histogram.bounded(3_000_000)
    assert histogram.percentile_us(0.98) == pytest.approx(1000, rel=0.001)
    assert histogram.percentile_us(0.99) is None
    assert histogram.mean_us is None
    assert histogram.max_us is None
    clean = Histogram()
    clean.record([2_000_000] * 1000)
    merged = Histogram.merged([clean, histogram])
    assert merged.percentile_us(0.99) == pytest.approx(2000, rel=0.001)
    assert merged.percentile_us(1.0) is None
    assert Histogram().bounded(None).percentile_us(0.5) is None
