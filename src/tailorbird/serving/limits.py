"""How much one caller may ask: token buckets, in memory."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_NAMES = 10_000


class Buckets:
    """A bucket of *per_minute* tokens for each name, filled again evenly over a minute.

    So much may come at once after a pause, and that many a minute in the long run; 0 is no limit.
    Of more than *max_names* names those that asked longest ago are forgotten. Thread safe.

    >>> now = [0.0]
    >>> buckets = Buckets(2, clock=lambda: now[0])
    >>> buckets.take("ada"), buckets.take("ada"), buckets.take("ada")
    (0.0, 0.0, 30.0)
    >>> now[0] = 30.0
    >>> buckets.take("ada")
    0.0
    """

    def __init__(
        self,
        per_minute: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        max_names: int = MAX_NAMES,
    ) -> None:
        self._size = max(per_minute, 1.0) if per_minute else 0.0
        self._per_s = per_minute / 60
        self._clock = clock
        self._max_names = max_names
        self._lock = threading.Lock()
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when

    def take(self, name: str) -> float:
        """0 where there was a token for *name*; else the seconds until there is one."""
        if not self._size:
            return 0.0
        with self._lock:
            n_left = self._now(name)
            if n_left < 1:
                return (1 - n_left) / self._per_s
            self._left[name] = n_left - 1, self._clock()
            self._left.move_to_end(name)
            while len(self._left) > self._max_names:
                self._left.popitem(last=False)
            return 0.0

    def give_back(self, name: str) -> None:
        """Undo one `take` of *name*."""
        with self._lock:
            if name in self._left:
                self._left[name] = min(self._size, self._now(name) + 1), self._clock()

    def _now(self, name: str) -> float:
        n_left, then_s = self._left.get(name, (self._size, 0.0))
        return min(self._size, n_left + (self._clock() - then_s) * self._per_s)


def caller_of(address: str) -> str:
    """What limits know an address by: of IPv6 the network, as one house has all of its addresses.

    >>> caller_of("192.0.2.7"), caller_of("2001:db8:1:2:3:4:5:6")
    ('192.0.2.7', '2001:db8:1:2::/64')
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
