"""How much a client of the RTSP server may send."""

from edge_detect.core import NS_PER_S, monotonic_ns
from edge_detect.sinks.rtsp.clients import Allowance


def test_a_client_may_send_a_burst_and_no_more():
    exact, more, long_ago = Allowance(1000, 10), Allowance(1000, 10), Allowance(1000, 0)
    now_ns = monotonic_ns()
    assert not exact.exceeded(1000, now_ns)
    assert more.exceeded(1010, now_ns)
    assert long_ago.exceeded(1001, now_ns + 9 * NS_PER_S)


def test_a_steady_sender_is_let_alone_for_ever():
    allowance = Allowance(1000, 10)
    now_ns = monotonic_ns()
    for second in range(1, 10_000):
        assert not allowance.exceeded(10 * second, now_ns + second * NS_PER_S)
    assert allowance.exceeded(10 * 10_000 + 1001, now_ns + 10_000 * NS_PER_S)


def test_patience_earns_no_larger_burst():
    allowance = Allowance(1000, 10)
    a_day_later_ns = monotonic_ns() + 86_400 * NS_PER_S
    assert not allowance.exceeded(500, a_day_later_ns)
    assert allowance.exceeded(1501, a_day_later_ns)
