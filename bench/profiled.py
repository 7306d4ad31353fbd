"""`doorward` with the calls of every thread counted, and told at each SIGUSR1 in the next file of a directory.

profiled.py DIRECTORY ...       as `doorward ...`

Time is each thread's own CPU time, so that what others do on the machine is not counted. Counting makes small functions
look dearer than they are: shares are of use, not sums.
"""

from __future__ import annotations

import cProfile
import itertools
import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from doorward.cli.main import main

NANOSECOND = 1e-9
_profiles: list[cProfile.Profile] = []


# They work at their own pace, however many requests there are.
IN_THE_BACKGROUND = ("follower", "housekeeping", "tallies")


def count_this_thread(*_: Any) -> None:
    if threading.current_thread().name in IN_THE_BACKGROUND:
        sys.setprofile(None)
        return
    profile = cProfile.Profile(time.thread_time_ns, NANOSECOND)
    _profiles.append(profile)
    profile.enable()


def counted() -> list[tuple[str, str, int, float]]:
    """Of each function: file, name, calls, and the seconds spent in it and not in what it called."""
    calls, seconds = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for entry in [entry for profile in _profiles for entry in profile.getstats()]:
        code = entry.code
        name = ("", code) if isinstance(code, str) else (code.co_filename, code.co_qualname)
        calls[name] += entry.callcount
        seconds[name] += entry.inlinetime  # type: ignore[assignment]
    return [(*name, calls[name], seconds[name]) for name in calls]


def run(directory: Path, words: list[str]) -> int:
    numbers = itertools.count()

    def tell(*_: object) -> None:
        # What this does is not the server's.
        _profiles[0].disable()
        file = directory / f"{next(numbers)}.json"
        file.with_suffix(".part").write_text(json.dumps(counted()))
        file.with_suffix(".part").rename(file)
        _profiles[0].enable()

    signal.signal(signal.SIGUSR1, tell)
    threading.setprofile(count_this_thread)
    count_this_thread()
    return main(words)


if __name__ == "__main__":
    raise SystemExit(run(Path(sys.argv[1]), sys.argv[2:]))
