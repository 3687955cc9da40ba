"""What was done to a deployment, sampled and noted, becomes one behaviour; events happen once, when they are due."""

from __future__ import annotations

import struct
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sgibench.bench.choice import Choice
from sgibench.bench.run import refuse_rateless
from sgibench.bench.serving import Serving
from sgibench.bench.watching import long_enough, too_short
from sgibench.engine.behaviours import Done, behaviour_of
from sgibench.engine.directing import Director
from sgibench.engine.noted import NOTED, SPENT, noted_ns, spent_s
from sgibench.engine.orders import Measured
from sgibench.engine.trials import judge
from sgibench.engine.windows import windows_for
from sgibench.errors import LoadError, UsageError
from sgibench.model import Cell, Group, Load, Scenario, Settings, Terms, Windows
from sgibench.model.behaviour import Act, Behaviour, Incident, Sample, Watched
from sgibench.serve.process import ServerProcess

S = 1_000_000_000
KILL = Done(at_ns=103 * S, do="kill", what="server 1 of 2 killed")
START = Done(at_ns=106 * S, do="start", what="server 1 of 2 started again")
EDGES = (100 * S, 110 * S)


def samples(failed: dict[float, int], silent: tuple[float, ...] = ()) -> list[Sample]:
    """Ten seconds in tenths, with so many failures in some and no answer in others."""
    ends = [round(0.1 * number, 1) for number in range(1, 101)]
    return [Sample(at_s=end, answered=0 if end in silent else 10, failed=failed.get(end, 0)) for end in ends]


def seen(some: list[Sample], *done: Done, noted: dict[int, list[int]] | None = None) -> Behaviour:
    return behaviour_of(some, done, noted, EDGES, lost=sum(one.failed for one in some))


def test_a_balancer_that_hides_a_loss_recovers_at_once_and_loses_nothing() -> None:
    found = seen(samples({}), KILL, START)
    assert (found.lost, found.recovered_after_s) == (0, 0.0)
    assert [one.at_s for one in found.happened] == [3.0, 6.0]


def test_recovery_is_from_the_kill_to_the_last_request_that_was_lost() -> None:
    found = seen(samples({3.1: 4, 3.4: 1}), KILL, START)
    assert found.lost == 5
    assert found.recovered_after_s == 0.4


def test_a_piece_without_an_answer_is_trouble_as_well() -> None:
    assert seen(samples({}, silent=(3.1, 3.2)), KILL, START).recovered_after_s == 0.2


def test_what_goes_on_until_the_next_event_is_no_recovery() -> None:
    always = {round(0.1 * number, 1): 1 for number in range(31, 61)}
    assert seen(samples(always), KILL, START).recovered_after_s is None


def test_trouble_after_the_new_start_is_not_counted_to_the_kill() -> None:
    assert seen(samples({3.1: 1, 8.0: 3}), KILL, START).recovered_after_s == 0.1


def test_losses_that_no_sample_holds_leave_the_recovery_unknown() -> None:
    found = behaviour_of(samples({3.1: 1}), [KILL, START], None, EDGES, lost=5)
    assert (found.lost, found.recovered_after_s) == (5, None)


def test_without_an_event_nothing_recovers() -> None:
    assert seen(samples({3.1: 1})).recovered_after_s is None


def test_a_server_is_back_when_a_new_process_is_reached_first() -> None:
    noted = {7: [101 * S, 102 * S], 8: [101 * S, 109 * S], 9: [107 * S, 108 * S]}
    found = seen(samples({}), KILL, START, noted=noted)
    assert found.back_after_s == 1.0
    assert found.reached == 6


def test_a_server_that_nothing_reached_is_not_back() -> None:
    assert seen(samples({}), KILL, START, noted={8: [101 * S, 109 * S]}).back_after_s is None


def test_requests_that_reach_the_app_are_binned_and_come_in_bursts() -> None:
    times = [100 * S, 100 * S + 10_000_000, 102 * S, 105 * S, 105 * S + 150_000_000, 105 * S + 300_000_000]
    found = seen(samples({}), noted={1: times})
    assert found.reached == 6
    assert found.bursts == (2, 1, 3)
    assert sum(found.reached_at) == 6
    assert found.reached_at[0] == 2
    assert len(found.reached_at) == 100


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.dictionaries(st.integers(1, 5), st.lists(st.integers(99 * S, 111 * S), max_size=30), max_size=4))
def test_every_request_inside_the_window_is_in_one_bin_and_in_one_burst(noted: dict[int, list[int]]) -> None:
    found = seen(samples({}), noted={pid: sorted(times) for pid, times in noted.items()})
    inside = sum(EDGES[0] <= at < EDGES[1] for times in noted.values() for at in times)
    assert found.reached == inside == sum(found.reached_at) == sum(found.bursts)


# --- what is noted on disk --------------------------------------------------------------------------------------------


def test_notes_are_read_by_process_and_a_half_record_is_none(tmp_path: Path) -> None:
    (tmp_path / "noted-12").write_bytes(NOTED.pack(5) + NOTED.pack(3) + b"\x01\x02")
    (tmp_path / "noted-x").write_bytes(NOTED.pack(5))
    assert noted_ns(tmp_path) == {12: [3, 5]}
    assert noted_ns(tmp_path / "nowhere") == {}


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 50)), max_size=30), st.lists(st.integers(0, 100)))
def test_cpu_that_was_spent_counts_where_it_ended(records: list[tuple[int, int]], cuts: list[int]) -> None:
    cuts = sorted(set(cuts))[: len(set(cuts)) // 2 * 2]
    edges = [*zip(cuts[::2], cuts[1::2], strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spent"
        path.write_bytes(b"".join(SPENT.pack(at, used) for at, used in records))
        found = spent_s(path.parent, edges)
    expected = sum(used for at, used in records if any(first <= at < last for first, last in edges)) / 1e9
    assert found == (expected if records else None)


def test_records_are_what_apps_and_programs_write() -> None:
    assert struct.calcsize("=q") == NOTED.size == 8
    assert struct.calcsize("=qq") == SPENT.size == 16


# --- events -----------------------------------------------------------------------------------------------------------


class Recorded:
    """Stands for a server process: it notes what is done to it."""

    servers = 2

    def __init__(self) -> None:
        self.done: list[tuple[Act, int]] = []

    def take_away(self, number: int) -> None:
        self.done.append(("kill", number))

    def bring_back(self, number: int) -> None:
        self.done.append(("start", number))


class Clock:
    def __init__(self) -> None:
        self.now = 1000 * S

    def __call__(self) -> int:
        return self.now


def test_events_happen_once_each_when_their_share_of_the_window_has_passed() -> None:
    clock, process = Clock(), Recorded()
    incidents = (Incident(at=0.6, do="start"), Incident(at=0.3, do="kill", server=1))
    director = Director(incidents, cast("ServerProcess", process), window_s=10.0, clock_ns=clock)
    director.act()
    director.stepped("warmup", 0.9)
    clock.now += 100 * S
    director.act()
    assert process.done == []  # the window has not begun
    director.stepped("measure", 0.1)
    began = clock.now - 1 * S
    director.act()
    assert process.done == []
    for at_s in (2.9, 3.0, 3.1, 5.9):
        clock.now = began + round(at_s * S)
        director.act()
    assert process.done == [("kill", 1)]
    whole = ((began, began + 10 * S),)
    assert director.missed(whole) is not None
    clock.now = began + 7 * S
    director.act()
    director.act()
    assert process.done == [("kill", 1), ("start", 1)]
    assert director.missed(whole) is None
    for edges in (((began, began + 7 * S),), ((began + 4 * S, began + 10 * S),), ()):
        missed = director.missed(edges)
        assert missed is not None
        assert missed.reason == "events"
    assert [one.what for one in director.done] == ["server 1 of 2 killed", "server 1 of 2 started again"]


FAILOVER = Watched(incidents=(Incident(at=0.3, do="kill"), Incident(at=0.6, do="start")), wants_s=5.0)


def test_a_window_that_can_not_hold_the_events_is_refused_and_one_that_nobody_asked_for_is_lengthened() -> None:
    scenario, load = Scenario.__new__(Scenario), Load(kind="closed", connections=8)
    vars(scenario).update(id="failover", watched=FAILOVER)
    cell = Cell(server="s", app="a", scenario="failover", load=load, settings=Settings(workers=1, threads=1))
    other = replace(cell, scenario="json")
    quick = Windows(window_s=0.6, slice_s=None, open_window_s=0.9)
    assert FAILOVER.least_s == 2.0
    with pytest.raises(UsageError, match=r"--window 500 ms: failover needs a window of at least 2.00 s"):
        long_enough(quick, 0.5, [scenario], [cell])
    assert long_enough(quick, 0.5, [scenario], [other]) == quick  # it takes no part
    assert long_enough(quick, 3.0, [scenario], [cell]) == quick
    assert len([*too_short(3.0, [scenario], [cell])]) == 1
    plan = long_enough(quick, None, [scenario], [cell])
    assert {plan: 1}[replace(plan)] == 1  # plans are looked up
    for each, window_s in ((cell, 5.0), (other, 0.6)):
        group = Group(scenario=each.scenario, load=load, settings=each.settings, cells=(each,))
        assert windows_for(plan, group, first=True).window_s == window_s


@pytest.mark.parametrize(
    ("watched", "terms", "why"),
    [
        (FAILOVER, Terms(), "killed and started again in its window"),
        (Watched(noted=True, wants_s=7.0), Terms(), "takes a window of 7.00 s"),
        (Watched(slow=64), Terms(), None),
        (Watched(), Terms(at_rate=False), "no fixed rate"),
        (Watched(), Terms(calibrated=False), "no fixed rate"),
        (Watched(), Terms(), None),
    ],
)
def test_a_search_for_capacity_is_refused_where_a_step_is_not_what_the_scenario_asks(
    watched: Watched, terms: Terms, why: str | None
) -> None:
    scenario = Scenario.__new__(Scenario)
    vars(scenario).update(id="mine", watched=watched, terms=terms)
    if why is None:
        refuse_rateless([scenario])
        return
    with pytest.raises(UsageError, match=f"--scenario mine: .*{why}.*sgibench run measures it"):
        refuse_rateless([scenario])


@pytest.mark.parametrize("watched", [FAILOVER, Watched(noted=True), Watched(slow=64)])
def test_the_web_ui_refuses_by_name_what_it_would_not_put_on(watched: Watched) -> None:
    scenario, ui = Scenario.__new__(Scenario), Serving.__new__(Serving)
    vars(scenario).update(id="failover", watched=watched)
    ui._scenarios = {"failover": scenario}
    load = Load(kind="closed", connections=8)
    with pytest.raises(LoadError, match="failover is put on by sgibench run alone"):
        ui._scenario(Choice(server=None, app=None, scenario="failover", load=load, settings=None))


def measured(**errors: int) -> Measured:
    fields: dict[str, Any] = {"id": "x", "window_s": 1.0, "requests": 100, "errors": errors}
    return Measured(**fields)


def test_requests_lost_to_an_event_are_a_result_and_wrong_answers_are_not() -> None:
    assert judge(measured(reset=30, status=5), "", eventful=True) is None
    failure = judge(measured(body=1), "", eventful=True)
    assert failure is not None
    assert failure.reason == "wrong-answer"
    assert judge(measured(reset=30), "") is not None
    assert judge(measured(status=1), "") is not None
