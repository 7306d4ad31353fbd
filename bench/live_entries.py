"""What 10,000 live entries of the revocation feed cost a verifier: memory, and time of every check."""

from __future__ import annotations

import time
import tracemalloc

from figures import Figure
from timing import Contestant, in_turns

from doorward_verify import Verifier
from doorward_verify.revocations import Entry, Log

ENTRIES = 10_000
CALLS = 1000
LIMIT, MORE, MEGABYTES = 3.0, 10.0, 5.0


def entries() -> list[Entry]:
    """As many grants that ended, of clients that are not asked about here."""
    expires_at = int(time.time()) + 3660
    return [
        Entry((1, seq), (1, seq - 1), "grant", f"grant_{seq:016}", True, expires_at) for seq in range(1, ENTRIES + 1)
    ]


def megabytes() -> Figure:
    tracemalloc.start()
    log = Log(1, entries())
    taken = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    assert len(log) == ENTRIES
    return Figure("memory of 10,000 entries of the feed", "MB", [taken], required=MEGABYTES)


def checks(verifier: Verifier, text: str) -> list[Figure]:
    """A known JWT, its scope too, against the feed: as it is, and with that many entries."""
    line = verifier._view.feed.line
    assert verifier.state == "synced"
    plain, full = line.log, Log(line.log.epoch, entries())

    def checking(log: Log) -> Contestant:
        def check(text: str) -> None:
            line.log = log
            assert "invoices:read" in verifier.check(text).scope

        return Contestant(check, [text] * CALLS)

    without, with_them = in_turns(checking(plain), checking(full))
    line.log = plain
    name = "check of a JWT that is known and of its scope, with the feed"
    more = [100 * (after - before) / before for before, after in zip(without, with_them, strict=True)]
    return [
        Figure(name, "µs", without, required=LIMIT),
        Figure("the same, the feed with 10,000 entries", "µs", with_them, required=LIMIT),
        Figure("which is more by", "%", more, required=MORE),
    ]
