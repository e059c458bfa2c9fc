"""The window lasts until the last of many hosts is confirmed, with fewer forks than hosts."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

import pytest

from cairn.preflight.finding import WARNING
from cairn.preflight.network import check_network_window
from cairn.site.window import ASKING, MINIMUM, Need, measured, stale


def task(
    hosts: int, forks: int, begin: float, seconds: Callable[[], float]
) -> list[tuple[float, float]]:
    """When each host begins and ends a task, as Ansible hands it out to its forks."""
    free = [begin] * forks
    spans = []
    for _ in range(hosts):
        start = heapq.heappop(free)
        spans.append((start, start + seconds()))
        heapq.heappush(free, spans[-1][1])
    return spans


def too_late(need: Need, window: float, seed: int) -> int:
    """How many hosts of a simulated run are confirmed after their window."""
    chance = random.Random(seed)  # noqa: S311

    def call() -> float:
        return chance.uniform(0.5, 1.0) * need.call

    def apply() -> float:
        return call() + 2 + chance.uniform(1.0, 9.0) + call()

    def end(spans: list[tuple[float, float]]) -> float:
        return max(end for _, end in spans)

    applied = task(need.count, need.forks, 0.0, apply)
    asked = task(need.count, need.forks, end(applied), lambda: call() + ASKING)
    confirmed = task(need.count, need.forks, end(asked), call)
    return sum(
        end > begin + window for (begin, _), (_, end) in zip(applied, confirmed, strict=True)
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("call", [1.0, 3.0, 8.0])
@pytest.mark.parametrize(("hosts", "forks"), [(1, 20), (20, 20), (21, 20), (100, 20), (300, 20)])
def test_the_derived_window_is_long_enough(hosts: int, forks: int, call: float, seed: int) -> None:
    need = Need(hosts, forks, call)
    assert too_late(need, need.window, seed) == 0


def test_forty_five_seconds_are_too_few_for_a_hundred_hosts_with_twenty_forks() -> None:
    need = Need(100, 20, 2.0)
    assert too_late(need, MINIMUM, 1) > 10
    assert need.window > MINIMUM


def test_more_forks_make_the_window_shorter_and_it_is_never_below_its_minimum() -> None:
    windows = [Need(100, forks, 2.0).window for forks in (5, 20, 50, 100)]
    assert windows == sorted(windows, reverse=True)
    assert Need(1, 20, 1.0).window == MINIMUM
    assert Need(0, 0, 1.0).waves == 1


def test_what_is_left_for_asking_and_confirming_fits_the_window() -> None:
    for hosts in (1, 20, 100, 300):
        need = Need(hosts, 20, 3.0)
        assert need.rest < need.window - need.applying


def test_a_call_is_measured_by_the_median_of_the_probes() -> None:
    def took(seconds: float) -> dict[str, list[float]]:
        return {"clock": [100.0, 100.0 + seconds]}

    assert measured({"a": took(2.0), "b": took(3.0), "c": took(60.0)}) == 3.0
    assert measured({"a": took(0.1)}) == 1.0
    assert measured({"a": took(90.0)}) == 20.0
    assert measured({"a": {}}) == 1.0


def test_a_connection_through_jump_hosts_may_take_as_long_as_it_took() -> None:
    assert [Need(1, 1, call).connect for call in (1.0, 4.0, 20.0)] == [5, 8, 15]


def test_only_hosts_whose_network_is_another_count() -> None:
    site = {"hosts": {name: {"network": "new"} for name in ("a", "b", "c", "d")}}

    def network(**changes: object) -> dict[str, object]:
        known = {"hash": "new", "drift": [], "unconfirmed": False, **changes}
        return {"cairn_host": {"network": known}}

    hostvars = {"a": network(), "b": network(hash="old"), "c": network(drift=["x"]), "d": {}}
    assert stale(site, hostvars) == ["b", "c"]


def test_a_window_of_the_operators_own_that_is_too_short_is_a_finding() -> None:
    need = Need(100, 20, 2.0)
    (finding,) = check_network_window(45, need)
    assert finding.severity == WARNING
    assert f"100 hosts whose network changes need {need.window} s with 20 forks" in finding.text
    assert "--forks" in finding.remedy
    assert not check_network_window(need.window, need)
    assert not check_network_window(None, need)
