"""Throttling, on a clock of the test's own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.accounts.throttle import LoginThrottle, Throttle
from homing.protocol.errors import Problem


def wait(of: Throttle, key: str, now: float) -> int | None:
    """The Retry-After, or None when the attempt may be made."""
    try:
        of.take(key, now=now)
    except Problem as problem:
        return problem.retry_after
    return None


def test_so_many_and_then_one_at_a_time() -> None:
    of = Throttle(attempts=3, seconds=30)
    assert [wait(of, "a", 0.0) for _ in range(5)] == [None, None, None, 11, 11]
    assert wait(of, "b", 0.0) is None
    assert wait(of, "a", 9.0) == 2
    assert wait(of, "a", 10.0) is None
    assert wait(of, "a", 10.0) == 11
    assert [wait(of, "a", 100.0) for _ in range(4)] == [None, None, None, 11]


def test_what_was_right_does_not_count() -> None:
    of = Throttle(attempts=2, seconds=30)
    for _ in range(10):
        assert wait(of, "a", 0.0) is None
        of.give_back("a", now=0.0)
    assert [wait(of, "a", 0.0) for _ in range(3)] == [None, None, 16]


def test_memory_is_bounded_and_the_quietest_goes_first() -> None:
    of = Throttle(attempts=1, seconds=100, keys_max=3)
    for key in "abcd":
        assert wait(of, key, 0.0) is None
    assert wait(of, "d", 0.0) is not None
    assert wait(of, "b", 0.0) is not None
    assert wait(of, "a", 0.0) is None


@given(st.lists(st.floats(0, 50), min_size=1, max_size=60))
def test_never_more_than_the_rate(gaps: list[float]) -> None:
    """In any window the attempts let through are at most the allowance and what was refilled meanwhile."""
    of = Throttle(attempts=5, seconds=50)
    now, through = 0.0, []
    for gap in gaps:
        now += gap
        if wait(of, "a", now) is None:
            through.append(now)
    for first in range(len(through)):
        for last in range(first, len(through)):
            assert last - first + 1 <= 5 + (through[last] - through[first]) / 10 + 1e-6


@given(st.floats(0, 10))
def test_retry_after_is_enough(spent: float) -> None:
    of = Throttle(attempts=5, seconds=50)
    for _ in range(5):
        of.take("a", now=spent)
    seconds = wait(of, "a", spent)
    assert seconds is not None
    assert wait(of, "a", spent + seconds) is None


def test_an_address_has_its_own_bound() -> None:
    both = LoginThrottle(logins=Throttle(attempts=10, seconds=300), addresses=Throttle(attempts=3, seconds=300))
    for login in ("a", "b", "c"):
        both.take(login=login, address="192.0.2.1", now=0.0)
    with pytest.raises(Problem) as caught:
        both.take(login="d", address="192.0.2.1", now=0.0)
    assert (caught.value.code.code, caught.value.retry_after) == ("rate_limited", 101)
    both.take(login="d", address="192.0.2.2", now=0.0)
