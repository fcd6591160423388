import pytest

from transforms.fetch_config import FetchConfig
from transforms.host_queues import HostQueue, HostQueues

CONFIG = FetchConfig(host_rate=5.0, host_concurrency=2)


def begun(hosts: HostQueues[str], now: float) -> list[str]:
    """All that may begin at a time, begun."""
    found = []
    while (item := hosts.pop(now)) is not None:
        queue, work = item
        queue.limits.begin(now)
        hosts.enlist(queue)
        found.append(work)
    return found


def put(hosts: HostQueues[str], host: str, *work: str) -> HostQueue[str]:
    queue = hosts.of(host)
    queue.waiting.extend(work)
    hosts.enlist(queue)
    return queue


def test_pop_serves_hosts_side_by_side_and_each_at_its_rate() -> None:
    hosts: HostQueues[str] = HostQueues(CONFIG)
    a = put(hosts, "a", "a1", "a2", "a3")
    put(hosts, "b", "b1")
    assert begun(hosts, 10.0) == ["a1", "b1"]
    assert hosts.next_time() == pytest.approx(10.2)
    assert begun(hosts, 10.1) == []
    assert begun(hosts, 10.2) == ["a2"]
    assert begun(hosts, 99.0) == []  # both lanes are taken
    a.limits.end()
    hosts.enlist(a)
    assert begun(hosts, 99.0) == ["a3"]
    assert hosts.next_time() is None


def test_put_later_waits_for_its_time_and_goes_first() -> None:
    hosts: HostQueues[str] = HostQueues(CONFIG)
    queue = put(hosts, "a", "a1")
    hosts.put_later(queue, 12.0, "again")
    assert begun(hosts, 10.0) == ["a1"]
    assert hosts.next_time() == 12.0
    queue.waiting.append("a2")
    assert begun(hosts, 12.0) == ["again"]


def test_enlist_of_earlier_work_moves_host_forward() -> None:
    hosts: HostQueues[str] = HostQueues(CONFIG)
    queue = hosts.of("a")
    hosts.put_later(queue, 50.0, "again")
    hosts.enlist(queue)
    put(hosts, "a", "new")
    assert begun(hosts, 10.0) == ["new"]
    assert begun(hosts, 49.0) == []
    assert begun(hosts, 50.0) == ["again"]


def test_pop_of_paused_host_waits() -> None:
    hosts: HostQueues[str] = HostQueues(CONFIG)
    queue = put(hosts, "a", "a1")
    queue.limits.pause(40.0)
    assert begun(hosts, 39.0) == []
    assert hosts.next_time() == 40.0
    assert begun(hosts, 40.0) == ["a1"]


def test_enlist_while_asking_stays_out() -> None:
    hosts: HostQueues[str] = HostQueues(CONFIG)
    hosts.of("a").asking = True
    queue = put(hosts, "a", "a1")
    assert begun(hosts, 10.0) == []
    queue.asking = False
    hosts.enlist(queue)
    assert begun(hosts, 10.0) == ["a1"]


def test_take_removes_from_every_host() -> None:
    hosts: HostQueues[str] = HostQueues(CONFIG)
    put(hosts, "a", "a1", "keep")
    hosts.put_later(put(hosts, "b", "b1"), 5.0, "b2")
    assert sorted(hosts.take(lambda work: work != "keep")) == ["a1", "b1", "b2"]
    assert begun(hosts, 10.0) == ["keep"]
