"""Layers add up to the whole that was measured, and what they do not explain is in none of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sgibench import stats

BLOCKS = st.dictionaries(st.integers(0, 5), st.floats(0.5, 5000), max_size=6)


def test_layers_by_hand() -> None:
    layers = stats.layers_of({0: 200.0, 1: 220.0}, {0: 80.0, 1: 90.0}, {0: 120.0, 1: 125.0}, {0: 20.0, 1: 22.0})
    assert layers is not None
    assert layers.work.value == 21
    assert layers.framework.value == pytest.approx((100 + 103) / 2)
    assert layers.server.value == pytest.approx((60 + 68) / 2)
    assert layers.rest.value == pytest.approx((20 + 27) / 2)
    assert layers.total.value == 210
    assert layers.rest.half == pytest.approx(12.706 * 3.5, rel=1e-3)  # t of one degree; s / √2 = 3.5
    assert not layers.explained
    assert stats.layers_of({0: 200.0}, {0: 90.0}, {0: 120.0}, {0: 20.0}).explained  # type: ignore[union-attr]


def test_the_plain_app_has_no_framework_and_leaves_nothing_over() -> None:
    layers = stats.layers_of({0: 80.0, 1: 90.0}, {0: 80.0, 1: 90.0}, {0: 20.0, 1: 21.0}, {0: 20.0, 1: 21.0})
    assert layers is not None
    assert layers.framework.value == layers.rest.value == 0


@given(BLOCKS, BLOCKS, BLOCKS, BLOCKS)
def test_the_four_add_up_to_the_whole_over_blocks_that_have_them_all(
    total: dict[int, float], plain: dict[int, float], alone: dict[int, float], bare: dict[int, float]
) -> None:
    layers = stats.layers_of(total, plain, alone, bare)
    common = total.keys() & plain.keys() & alone.keys() & bare.keys()
    assert (layers is None) == (not common)
    if layers is not None:
        parts = (layers.server, layers.framework, layers.work, layers.rest)
        assert sum(part.value for part in parts) == pytest.approx(layers.total.value, abs=1e-6)
        assert layers.total.value == pytest.approx(sum(total[block] for block in common) / len(common))
        assert layers.total.blocks == len(common)
        assert (layers.rest.half is None) == (len(common) == 1)
