"""Which feeds there are in this process: one for all Verifiers that would hear the same."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Hashable

from doorward_verify.feed import Feed

_feeds: weakref.WeakValueDictionary[Hashable, Feed] = weakref.WeakValueDictionary()
_lock = threading.Lock()


def shared(name: Hashable, make: Callable[[], Feed]) -> Feed:
    with _lock:
        feed = _feeds.get(name)
        if feed is None:
            feed = _feeds[name] = make()
        return feed


def _renew_all() -> None:
    global _lock
    _lock = threading.Lock()
    for feed in list(_feeds.values()):
        feed.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_all)
