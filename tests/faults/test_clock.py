"""T212: a clock that jumps brings nothing back, neither at the server nor at a service.

libfaketime (Debian's `faketime`) lies about the wall clock to one process; its monotonic clock stays true, and so
does the machine.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.deployment import served
from tests.faults.checking import DEAD, GOOD, STALE, Checker, a_verifier, checking
from tests.faults.ends import KINDS, Doomed, Place

SERVERS, SERVICES = "the server's", "a service's"
SHORT, LONG = [(SERVERS, "+1h"), (SERVICES, "-1h")], [(SERVERS, "-1h"), (SERVICES, "+1h")]
# Long enough for a heartbeat of the wrong time, and one more.
HELD = 2.5
LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


class FakedClock:
    """The wall clock of the processes that are started with these variables."""

    def __init__(self, directory: Path) -> None:
        assert LIBRARIES, "libfaketime is missing: `apt-get install faketime`"
        self._file = directory / "clock"
        self.jump("+0")

    def jump(self, offset: str) -> None:
        replacement = self._file.with_suffix(".new")
        replacement.write_text(f"{offset}\n")
        replacement.replace(self._file)

    @property
    def variables(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }


@pytest.fixture
def faked(tmp_path: Path) -> FakedClock:
    return FakedClock(tmp_path)


def made(place: Place, checker: Checker, name: str) -> dict[str, Doomed]:
    """One thing of each kind, known at the service."""
    found = {f"{name}: {kind}": make(place) for kind, make in KINDS.items()}
    for called, doomed in found.items():
        for label, text in doomed.texts[:1]:
            checker.watch(called, text, label)
            checker.until(label, called, GOOD)
    return found


def ended(found: dict[str, Doomed], checker: Checker) -> None:
    for doomed in found.values():
        assert doomed.end().status_code == 200
    for name, doomed in found.items():
        checker.until(doomed.texts[0][0], name, DEAD)


def revived(found: dict[str, Doomed], checker: Checker) -> list[str]:
    """What was accepted after it had been refused."""
    told = {name: [one.outcome for one in checker.history(doomed.texts[0][0], name)] for name, doomed in found.items()}
    return [
        f"{name}: {outcomes}"
        for name, outcomes in told.items()
        if {GOOD, STALE} & {*outcomes[next(at for at, outcome in enumerate(outcomes) if outcome in DEAD) :]}
    ]


def held(place: Place, checker: Checker, name: str) -> None:
    """The clock stays wrong while heartbeats come; what is ended meanwhile is heard, and the feed is in order."""
    threading.Event().wait(HELD)
    for number in range(2):
        doomed = KINDS["an API key"](place)
        label, text = doomed.texts[0]
        checker.watch(f"{name} {number}", text, label)
        checker.until(label, f"{name} {number}", GOOD)
        assert doomed.end().status_code == 200
        checker.until(label, f"{name} {number}", DEAD)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "jump" in metafunc.fixturenames:
        more = LONG if metafunc.config.getoption("--long", default=False) else []
        metafunc.parametrize(("whose", "jump"), [*SHORT, *more])


@pytest.mark.slow
def test_when_a_clock_jumps_nothing_that_was_ended_comes_back(tmp_path, faked, whose, jump):
    at_server = whose == SERVERS
    with served(tmp_path, variables=faked.variables if at_server else {}) as doorward:
        place = Place(doorward, token_lifetime=300)
        given = {label: a_verifier(doorward, api) for label, api in place.apis.items()}
        with checking(doorward, given, env={**os.environ, **({} if at_server else faked.variables)}) as checker:
            before = made(place, checker, "before")
            ended(before, checker)
            for offset in (jump, "+0"):
                faked.jump(offset)
                held(place, checker, offset)
                for doomed in before.values():
                    label, text = doomed.texts[0]
                    asker = doorward.a_verifier(api=place.apis[label])
                    assert doorward.introspect(asker, text) == {"active": False}
            assert revived(before, checker) == []
