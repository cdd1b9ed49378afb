"""What waits for the broker is bounded, in order, and as new as can be."""

from functools import partial

import pytest

from edge_detect.service.mqtt.outbox import Message, Outbox


def taken(outbox):
    messages = []
    while (message := outbox.take()) is not None:
        messages.append(message)
    return messages


def test_events_keep_their_order_and_the_oldest_is_dropped_and_counted() -> None:
    outbox = Outbox(3)
    for number in range(5):
        outbox.send("event", partial(bytes, b"%d" % number))
    assert outbox.dropped == 2
    assert [message.payload for message in taken(outbox)] == [b"2", b"3", b"4"]
    assert len(outbox) == 0


def test_events_that_were_taken_and_not_delivered_go_out_first_and_as_they_were() -> None:
    outbox = Outbox(5)
    texts = iter([b"0", b"1", b"2", b"3"])
    for _ in range(3):
        outbox.send("event", lambda: next(texts))
    outbox.retain("state", b"x")
    outbox.give_back([outbox.take() for _ in range(3)])
    assert [message.payload for message in taken(outbox)] == [b"0", b"1", b"2"]


def test_of_a_value_the_newest_alone_waits() -> None:
    outbox = Outbox(3)
    for number in range(1000):
        outbox.retain("state", b"%d" % number)
    outbox.retain("other", b"x")
    assert len(outbox) == 2
    assert taken(outbox) == [Message("state", b"999", True), Message("other", b"x", True)]


def test_a_value_that_has_not_changed_is_not_told_again() -> None:
    outbox = Outbox(3)
    assert outbox.retain("state", b"1")
    taken(outbox)
    assert not outbox.retain("state", b"1")
    assert outbox.take() is None


def test_after_a_reconnection_all_values_go_out_before_the_events() -> None:
    outbox = Outbox(3)
    outbox.retain("a", b"1")
    outbox.retain("b", b"2")
    taken(outbox)
    outbox.send("event", lambda: b"e")
    outbox.repeat()
    assert [message.topic for message in taken(outbox)] == ["a", "b", "event"]


def test_part_of_the_values_can_be_repeated() -> None:
    outbox = Outbox(3)
    for topic in ("discovery/a", "own/a", "discovery/b"):
        outbox.retain(topic, b"1")
    taken(outbox)
    outbox.repeat("discovery/")
    assert [message.topic for message in taken(outbox)] == ["discovery/a", "discovery/b"]


def test_a_topic_to_be_forgotten_is_told_until_the_broker_has_confirmed_it() -> None:
    outbox = Outbox(3)
    outbox.retain("a", b"1")
    taken(outbox)
    outbox.retain("a", b"")
    assert outbox.topics == set()
    (message,) = taken(outbox)
    assert message == Message("a", b"", True)
    outbox.repeat()
    assert taken(outbox) == [message]
    outbox.delivered(message)
    outbox.repeat()
    assert taken(outbox) == []


@pytest.mark.parametrize("at_broker", [b"", b"1"])
def test_a_late_confirmation_does_not_forget_what_came_back_meanwhile(at_broker) -> None:
    outbox = Outbox(3)
    outbox.retain("a", b"")
    (message,) = taken(outbox)
    outbox.retain("a", b"2")
    outbox.delivered(message._replace(payload=at_broker))
    assert taken(outbox) == [Message("a", b"2", True)]
    assert outbox.topics == {"a"}
