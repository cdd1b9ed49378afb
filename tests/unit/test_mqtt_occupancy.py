"""Numbers of objects are told without flicker."""

from edge_detect.core import NS_PER_S
from edge_detect.service.mqtt.occupancy import Occupancy

PERSON, ALL = ("all", "person"), ("all", "all")


def test_more_is_told_at_once() -> None:
    occupancy = Occupancy([PERSON, ALL])
    assert occupancy.shown == {PERSON: 0, ALL: 0}
    assert occupancy.update({("", "person"): 2}, 0) == {PERSON: 2, ALL: 2}
    assert occupancy.update({("", "person"): 2}, 1) == {}


def test_less_is_told_when_it_has_lasted_a_second() -> None:
    occupancy = Occupancy([PERSON])
    occupancy.update({("", "person"): 1}, 0)
    assert occupancy.update({}, 1) == {}
    assert occupancy.update({}, NS_PER_S // 2) == {}
    assert occupancy.update({}, NS_PER_S + 1) == {PERSON: 0, ALL: 0}


def test_who_stands_on_the_edge_of_a_zone_does_not_flicker() -> None:
    occupancy = Occupancy([("gate", "person")])
    within = {("", "person"): 1, ("gate", "person"): 1}
    changes = [
        occupancy.update(within if step % 3 == 0 else {("", "person"): 1}, step * NS_PER_S // 4)
        for step in range(40)
    ]
    assert changes[0] == {PERSON: 1, ALL: 1, ("gate", "person"): 1, ("gate", "all"): 1}
    assert not any(changes[1:])


def test_classes_are_added_up() -> None:
    occupancy = Occupancy([])
    changed = occupancy.update({("", "person"): 2, ("", "cell phone"): 1, ("gate", "person"): 1}, 0)
    assert changed == {
        PERSON: 2,
        ("all", "cell_phone"): 1,
        ALL: 3,
        ("gate", "person"): 1,
        ("gate", "all"): 1,
    }


def test_a_zone_called_all_is_the_whole_picture() -> None:
    occupancy = Occupancy([])
    assert occupancy.update({("", "person"): 1, ("all", "person"): 1}, 0) == {PERSON: 1, ALL: 1}
