"""The mean size of answers, of which most are compared and never read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench.load.books import answers_of, sizes_of
from sgibench.load.request import get
from sgibench.load.sizes import OPEN_BY, Sizes, mean_bytes
from tests.loaded_target import answered, answers_read, play, target_of
from tests.scripted_server import Talk, answer, serving

ANSWERS = {"/large": answer(b"x" * 50_000), "/small": answer(b"x")}


def test_a_mix_of_large_and_small_answers_has_the_mean_that_went_over_the_wire() -> None:
    sent = []

    def script(talk: Talk) -> None:
        while (request := talk.request()) is not None:
            whole = ANSWERS[request.split()[1].decode()]
            sent.append(len(whole))
            talk.send(whole)

    mix = (get("/small", expect=b"x", weight=9), get("/large", expect=b"x" * 50_000))
    with serving(script) as server, target_of(server, *mix) as target:
        play(target, answered(target, 300))
        assert not target.tally.errors
        assert answers_read(target) < 100  # half of those that were read were large ones, and of all a tenth
        mean = mean_bytes([sizes_of(target.answer_sizes)], answers_of(target.answers))
        assert mean == pytest.approx(sum(sent) / len(sent), rel=1e-9)


KINDS = st.lists(st.lists(st.integers(0, 100_000), min_size=1, max_size=12), min_size=1, max_size=4)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(KINDS, st.data())
def test_a_mean_is_within_one_in_a_hundred_of_the_truth_or_none_is_given(
    kinds: list[list[int]], data: st.DataObject
) -> None:
    shares: list[dict[str, list[int]]] = [{}, {}]
    every: list[int] = []
    counts = {}
    for number, sizes in enumerate(kinds):
        again = data.draw(st.lists(st.sampled_from(sizes), max_size=200), label="compared with one that was read")
        every += [*sizes, *again]
        counts[f"GET /{number}"] = len(sizes) + len(again)
        cut = data.draw(st.integers(0, len(sizes)), label="read by the first process")
        for share, part in zip(shares, (sizes[:cut], sizes[cut:]), strict=True):
            seen = Sizes()
            for size in part:
                seen.add(size)
            if part:
                share[f"GET /{number}"] = seen.packed()
    mean, truth = mean_bytes(shares, counts), sum(every) / len(every)
    all_alike = all(len(set(sizes)) == 1 for sizes in kinds)
    if all_alike or len(every) == sum(map(len, kinds)):
        assert mean == pytest.approx(truth)
    assert mean is None or abs(mean - truth) <= OPEN_BY * max(mean, truth) + 1e-9


def test_without_an_answer_there_is_no_mean() -> None:
    assert mean_bytes([{}, {}], {"GET /pid": 16}) is None
