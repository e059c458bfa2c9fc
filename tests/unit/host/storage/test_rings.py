"""What may become of a ring, decided before anything is touched."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from cairn_host.storage import rings
from cairn_host.storage.rings import Builder, BuilderDevice, Device, Ring, decide


def device(name: str, weight: float = 100, zone: int = 1, ip: str = "") -> Device:
    host, disk = name.split("/")
    return Device(host, disk, 1, zone, ip or f"198.51.100.{host[1:]}", 6200, weight)


def ring(*devices: Device, replicas: float = 3, hours: int = 24, power: int = 3) -> Ring:
    return Ring("object", power, replicas, hours, devices)


def builder(
    *devices: Device,
    copies: dict[str, int] | None = None,
    assignments: Sequence[Sequence[int]] | None = None,
    recent: Iterable[int] = (),
    replicas: float = 3,
) -> Builder:
    """Devices get ids in the order given; by default each replica is on one of them."""
    held = tuple(
        BuilderDevice(ident, one, (copies or {}).get(one.name, 8))
        for ident, one in enumerate(devices)
    )
    spread = [[replica] * 8 for replica in range(int(replicas))]
    return Builder(
        "object", 3, replicas, 24, held,
        spread if assignments is None else assignments, frozenset(recent),
    )  # fmt: skip


D1, D2, D3, D4 = (device(f"s{number}/d1") for number in (1, 2, 3, 4))


def texts(decision: rings.Decision) -> list[str]:
    return [step.text for step in decision.steps]


def refusal(decision: rings.Decision) -> str:
    (found,) = decision.refusals
    return found


# --- what may be done ---------------------------------------------------------------------------


def test_a_first_ring_gets_all_its_disks_at_once() -> None:
    decision = decide(ring(D1, D2, D3), None, share=25)
    assert [step.verb for step in decision.steps] == ["create", "add", "add", "add"]
    assert [step.value for step in decision.steps[1:]] == [100, 100, 100]
    assert decision.refusals == []


def test_what_is_as_wanted_is_left_alone() -> None:
    decision = decide(ring(D1, D2, D3), builder(D1, D2, D3))
    assert (decision.steps, decision.refusals) == ([], [])


def test_a_new_disk_is_added() -> None:
    decision = decide(ring(D1, D2, D3, D4), builder(D1, D2, D3))
    assert texts(decision) == ["add s4/d1 (region 1, zone 1, weight 100)"]


def test_a_new_disk_is_filled_by_shares_if_so_wished() -> None:
    decision = decide(ring(D1, D2, D3, D4), builder(D1, D2, D3), share=25)
    assert texts(decision) == ["add s4/d1 (region 1, zone 1, weight 25 of 100)"]
    later = decide(ring(D1, D2, D3, D4), builder(D1, D2, D3, device("s4/d1", 90)), share=25)
    assert texts(later) == ["weight of s4/d1 from 90 to 100"]


def test_a_disk_is_drained_by_its_weight() -> None:
    decision = decide(ring(D1, D2, D3, device("s4/d1", 0)), builder(D1, D2, D3, D4))
    assert texts(decision) == ["weight of s4/d1 from 100 to 0, to be drained"]
    assert decision.steps[0].ident == 3
    assert decision.refusals == []


def test_a_drained_and_empty_disk_leaves() -> None:
    decision = decide(
        ring(D1, D2, D3),
        builder(D1, D2, D3, device("s4/d1", 0), copies={"s4/d1": 0}),
        holding={"s4/d1": 0},
    )
    assert texts(decision) == ["remove s4/d1"]
    assert decision.refusals == []


def test_a_host_that_moved_keeps_its_partitions() -> None:
    moved = device("s3/d1", ip="198.51.100.33")
    decision = decide(ring(D1, D2, moved), builder(D1, D2, D3))
    assert [step.verb for step in decision.steps] == ["address"]


def test_a_disk_changes_its_zone() -> None:
    decision = decide(ring(D1, D2, device("s3/d1", zone=3)), builder(D1, D2, D3))
    assert texts(decision) == ["s3/d1 from region 1 zone 1 to region 1 zone 3"]


@pytest.mark.parametrize("lost", ["s4/d1", "s4"])
def test_a_lost_disk_leaves_at_once_while_others_have_its_partitions(lost: str) -> None:
    spread = [[0] * 8, [1] * 8, [3] * 8]
    decision = decide(
        ring(D1, D2, D3), builder(D1, D2, D3, D4, assignments=spread), lost=[lost]
    )  # fmt: skip
    assert texts(decision) == ["remove s4/d1, which is lost"]
    assert decision.refusals == []


def test_settings_of_a_ring_follow_the_inventory() -> None:
    decision = decide(ring(D1, D2, D3, D4, replicas=4, hours=1), builder(D1, D2, D3, D4))
    assert texts(decision) == ["24 h between moves become 1 h", "3 copies become 4"]
    assert decision.refusals == []


# --- what is refused ----------------------------------------------------------------------------


def test_a_disk_with_partitions_may_not_just_vanish_from_the_inventory() -> None:
    text = refusal(decide(ring(D1, D2, D3), builder(D1, D2, D3, D4), holding={"s4/d1": 8}))
    assert text.startswith("ring object: s4/d1 still has 8 partitions")
    assert "weight 0" in text
    assert "swift_lost" in text


def test_a_drained_disk_with_data_left_on_it_may_not_leave() -> None:
    drained = builder(D1, D2, D3, device("s4/d1", 0), copies={"s4/d1": 0})
    text = refusal(decide(ring(D1, D2, D3), drained, holding={"s4/d1": 5}))
    assert "s4/d1 still has data of 5 partitions" in text


def test_a_disk_that_nobody_can_look_at_may_not_leave() -> None:
    drained = builder(D1, D2, D3, device("s4/d1", 0), copies={"s4/d1": 0})
    assert "it is unknown whether s4/d1 is empty" in refusal(decide(ring(D1, D2, D3), drained))


def test_the_last_copy_of_a_partition_is_never_given_up() -> None:
    # Both copies of the last three partitions are on the disks that are said to be lost.
    spread = [[0, 1, 0, 1, 2, 3, 3, 3], [1, 0, 1, 0, 0, 2, 2, 2]]
    decision = decide(
        ring(D1, D2, replicas=2),
        builder(D1, D2, D3, D4, assignments=spread, replicas=2),
        lost=["s3", "s4"],
    )
    assert "3 partitions would lose their last reliable copy with s3/d1, s4/d1" in refusal(decision)


def test_a_copy_that_is_on_its_way_does_not_count() -> None:
    spread = [[0] * 8, [3] * 8]
    four = builder(D1, D2, D3, D4, assignments=spread, recent=[5, 6], replicas=2)
    text = refusal(decide(ring(D1, D2, D3, replicas=2), four, lost=["s4"]))
    assert "2 partitions would lose their last reliable copy with s4/d1" in text


def test_of_fragments_more_than_one_must_stay() -> None:
    hosts = [device(f"s{number}/d1") for number in range(1, 7)]
    coded = Ring("object-1", 3, 6, 24, tuple(hosts[:3]), least=4)
    decision = decide(coded, builder(*hosts, replicas=6), lost=["s4", "s5", "s6"])
    assert any("8 partitions would lose their last reliable copy" in t for t in decision.refusals)
    two = Ring("object-1", 3, 6, 24, tuple(hosts[:4]), least=4)
    allowed = decide(two, builder(*hosts, replicas=6), lost=["s5", "s6"])
    assert not any("last reliable copy" in text for text in allowed.refusals)


def test_the_number_of_fragments_is_fixed() -> None:
    hosts = [device(f"s{number}/d1") for number in range(1, 8)]
    coded = Ring("object-1", 3, 7, 24, tuple(hosts), least=5)
    text = refusal(decide(coded, builder(*hosts, replicas=6)))
    assert "6 fragments cannot become 7" in text


def test_fewer_disks_than_copies_are_refused() -> None:
    decision = decide(ring(D1, D2, device("s3/d1", 0)), builder(D1, D2, D3))
    assert "3 copies need 3 disks of weight above 0, and there would be 2" in refusal(decision)


def test_no_more_than_the_weight_of_one_copy_is_taken_away_at_once() -> None:
    hosts = [device(f"s{number}/d1") for number in range(1, 7)]
    drained = [device(f"s{number}/d1", 0) for number in (4, 5, 6)]
    text = refusal(decide(ring(*hosts[:3], *drained), builder(*hosts)))
    assert "s4/d1, s5/d1, s6/d1 would give up 300 of 600" in text
    two = decide(ring(*hosts[:4], *drained[1:]), builder(*hosts))
    assert two.refusals == []
    by_shares = decide(ring(*hosts[:3], *drained), builder(*hosts), share=50)
    assert by_shares.refusals == []


def test_the_number_of_partitions_is_fixed() -> None:
    text = refusal(decide(ring(D1, D2, D3, power=4), builder(D1, D2, D3)))
    assert "fixed for the life of a ring" in text


@pytest.mark.parametrize(("now", "wanted"), [(3, 1), (2, 1), (4, 2)])
def test_copies_are_given_up_one_by_one_and_never_below_two(now: int, wanted: int) -> None:
    decision = decide(
        ring(D1, D2, D3, D4, replicas=wanted), builder(D1, D2, D3, D4, replicas=now)
    )  # fmt: skip
    assert f"{now} copies cannot become {wanted}" in refusal(decision)


def test_a_disk_is_not_both_lost_and_wanted() -> None:
    decision = decide(ring(D1, D2, D3), builder(D1, D2, D3), lost=["s3/d1"])
    assert "in swift_lost and in swift_disks" in refusal(decision)


def test_moves_need_an_hour_at_least() -> None:
    text = refusal(decide(ring(D1, D2, D3, hours=0), None))
    assert "swift_min_part_hours must be at least 1" in text


def test_a_disk_is_named_once() -> None:
    assert "s1/d1 is in swift_disks twice" in refusal(decide(ring(D1, D1, D2, D3), None))


# --- what a rebalance did -----------------------------------------------------------------------


def test_moves_are_counted_by_device() -> None:
    found = rings.moves([[0, 0, 1], [1, 1, 2]], [[0, 3, 1], [1, 1, 3]])
    assert (found.moved, found.copies, found.unsafe) == (2, 6, ())
    assert found.by_device == {0: -1, 2: -1, 3: 2}
    names = {0: "s1/d1", 2: "s3/d1", 3: "s4/d1"}
    assert rings.moves_text(found, names) == (
        "2 of 6 partition copies move (33.3 %): s4/d1 +2, s1/d1 -1, s3/d1 -1"
    )


def test_copies_that_change_places_have_not_moved() -> None:
    assert rings.moves([[0], [1]], [[1], [0]]).moved == 0


def test_two_copies_of_a_partition_may_not_move_at_once() -> None:
    found = rings.moves([[0], [1], [2]], [[3], [4], [2]])
    assert found.unsafe == ("more than one copy of 1 partitions would move at once",)


def test_copies_on_disks_that_leave_move_together_as_long_as_one_stays() -> None:
    assert rings.moves([[0], [1], [2]], [[3], [4], [2]], leaving=[0, 1]).unsafe == ()
    everything = rings.moves([[0], [1], [2]], [[3], [4], [5]], leaving=[0, 1, 2])
    assert everything.unsafe == ("too few copies of 1 partitions would stay where they are",)


def test_a_copy_more_of_each_partition_is_no_danger() -> None:
    assert rings.moves([[0], [1]], [[0], [2], [3]]).unsafe == ()


def test_half_a_replica_has_half_of_the_partitions() -> None:
    assert rings.rows([[0, 1], [1, 2], [2]]) == [[0, 1, 2], [1, 2]]


# --- the inventory ------------------------------------------------------------------------------

POLICIES: list[dict[str, Any]] = [
    {"index": 0, "name": "standard", "default": True},
    {"index": 1, "name": "coded", "type": "erasure_coding", "data_fragments": 4,
     "parity_fragments": 2},
]  # fmt: skip
HOSTS: dict[str, dict[str, Any]] = {
    "s1": {"address": "198.51.100.1", "region": 1, "zone": 2, "disks": [
        {"name": "d1"}, {"name": "ssd1", "holds": ["account", "container"], "weight": 40}]},
}  # fmt: skip


def test_every_policy_and_the_listings_have_a_ring() -> None:
    found = rings.wanted_rings(HOSTS, POLICIES, part_power=10, replicas=3, min_part_hours=24)
    assert {name: ring["replicas"] for name, ring in found.items()} == {
        "account": 3, "container": 3, "object": 3, "object-1": 6,
    }  # fmt: skip
    assert {name: ring["least"] for name, ring in found.items()}["object-1"] == 4
    ports = {name: ring["devices"][0]["port"] for name, ring in found.items()}
    assert ports == {"account": 6202, "container": 6201, "object": 6200, "object-1": 6200}


def test_a_disk_is_in_the_rings_of_what_it_holds() -> None:
    found = rings.wanted_rings(HOSTS, POLICIES, part_power=10, replicas=3, min_part_hours=24)
    on = {name: [d["disk"] for d in ring["devices"]] for name, ring in found.items()}
    assert on == {
        "account": ["d1", "ssd1"], "container": ["d1", "ssd1"], "object": ["d1"],
        "object-1": ["d1"],
    }  # fmt: skip
    assert [d["weight"] for d in found["account"]["devices"]] == [100, 40]


@pytest.mark.parametrize(
    ("policies", "text"),
    [
        ([{"index": 1, "name": "a", "default": True}], "no policy has index 0"),
        ([*POLICIES, {"index": 1, "name": "b"}], "two policies have index 1"),
        ([*POLICIES, {"index": 2, "name": "Standard"}], "two policies are named standard"),
        ([{"index": 0, "name": "a"}], "exactly one policy must be the default, not 0"),
        ([{"index": 0, "name": "a", "default": True, "deprecated": True}], "is deprecated"),
        ([{**POLICIES[1], "index": 0, "default": True, "parity_fragments": None}],
         "no parity_fragments"),
    ],
)  # fmt: skip
def test_wrong_policies_are_refused(policies: list[dict[str, Any]], text: str) -> None:
    assert text in " ".join(rings.policy_problems(policies))


def test_right_policies_have_no_problems() -> None:
    assert rings.policy_problems(POLICIES) == []


def test_each_ring_has_its_folder_on_disk() -> None:
    assert [rings.folder(name) for name in ("account", "object", "object-1")] == [
        "accounts", "objects", "objects-1",
    ]  # fmt: skip


# --- where the truth is -------------------------------------------------------------------------


def test_the_newest_builder_counts() -> None:
    known = {
        "controller1": {"builders": {}},
        "controller2": {"builders": {"object": {"version": 7}, "account": {"version": 3}}},
        "controller3": {"builders": {"object": {"version": 9}, "account": {"version": 3}}},
    }
    assert rings.newest(known) == {"object": "controller3", "account": "controller2"}


def test_a_ring_in_use_without_its_builder_is_noticed() -> None:
    known = {"storage1": {"rings": {"object": 9, "account": 3}}, "storage2": {"rings": {}}}
    assert rings.stranded(known, {"object": 9, "account": 3}) == []
    assert rings.stranded(known, {"object": 8}) == [
        "storage1 has ring account of version 3, and no controller has its builder",
        "storage1 has ring object of version 9, and the newest builder is of version 8",
    ]


def test_data_on_disks_is_shown_by_ring() -> None:
    known = {"s1": {"disks": {"d1": {"objects": 4, "objects-1": 2}}}, "controller1": {}}
    assert rings.holding(known, ["object", "object-1", "account"]) == {
        "object": {"s1/d1": 4}, "object-1": {"s1/d1": 2}, "account": {"s1/d1": 0},
    }  # fmt: skip
