"""Services in processes of their own (`checker.py`), as a test sees them: what they are given, and what they found."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.deployment import Doorward

from doorward_verify.errors import Unavailable

PROGRAM = Path(__file__).with_name("checker.py")
# Of what must happen at all; how soon it does is a figure.
DEADLINE = 30.0
GOOD, STALE = "good", "stale"
# Refused for good, whichever way the service learned of it.
DEAD = frozenset({"credential_revoked", "credential_unknown"})
UNAVAILABLE = Unavailable("").reason


@dataclass(frozen=True)
class Found:
    """From `at` on, and for checks that began at `began` or later."""

    outcome: str
    began: float
    at: float


class Checker:
    """Everything is kept: by verifier and credential, the outcomes in their order."""

    def __init__(self, issuer: str, ca_file: Path, verifiers: Mapping[str, Mapping[str, Any]], **options: Any) -> None:
        guard = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
        self._process = subprocess.Popen(
            [*guard, sys.executable, str(PROGRAM)],
            text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, **options,
        )  # fmt: skip
        self._news = threading.Condition()
        self._found: dict[tuple[str, str], list[Found]] = defaultdict(list)
        self.labels = list(verifiers)
        self._say(issuer=issuer, ca_file=str(ca_file), verifiers=verifiers)
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def watch(self, name: str, text: str, *by: str) -> None:
        self._say(watch=name, text=text, by=by)

    def forget(self, name: str) -> None:
        self._say(forget=name)

    def history(self, by: str, name: str) -> list[Found]:
        with self._news:
            return list(self._found[by, name])

    def now(self, by: str, name: str) -> str:
        found = self.history(by, name)
        return found[-1].outcome if found else ""

    def until(self, by: str, name: str, outcomes: str | frozenset[str], since: float = 0.0) -> Found:
        """The latest finding, once it is one of these and its check ended after `since`. Fails when it never is."""
        wanted = frozenset({outcomes}) if isinstance(outcomes, str) else outcomes

        def is_so() -> bool:
            found = self._found[by, name]
            return bool(found) and found[-1].outcome in wanted and found[-1].at >= since

        with self._news:
            there = self._news.wait_for(is_so, DEADLINE)
            found = self._found[by, name]
            assert there, f"{by} never found {sorted(wanted)} of {name}, but {[one.outcome for one in found]}"
            return found[-1]

    def first_after(self, by: str, name: str, outcomes: frozenset[str], since: float) -> Found | None:
        """The first finding of that kind that began after `since`; None when there is none within the deadline."""

        def found() -> Found | None:
            return next((one for one in self._found[by, name] if one.outcome in outcomes and one.at >= since), None)

        with self._news:
            self._news.wait_for(lambda: found() is not None, DEADLINE)
            return found()

    def stop(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.kill()
        self._process.wait()
        self._reader.join()
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.stdout.close()

    def _say(self, **order: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said = json.loads(line)
            with self._news:
                self._found[said["by"], said["name"]].append(Found(said["outcome"], said["began"], said["at"]))
                self._news.notify_all()


def a_verifier(doorward: Doorward, api: str, **options: Any) -> dict[str, Any]:
    """What a service is given of a verifier that was just made for it."""
    made = doorward.a_verifier(api=api)
    return {
        "audience": api, "verifier_id": made["client_id"], "verifier_secret": made["client_secret"], **options,
    }  # fmt: skip


@contextlib.contextmanager
def checking(
    doorward: Doorward, verifiers: Mapping[str, Mapping[str, Any]], *, issuer: str = "", **options: Any
) -> Iterator[Checker]:
    """A process with these verifiers, gone with the test."""
    checker = Checker(issuer or doorward.issuer, doorward.directory / "ca.pem", verifiers, **options)
    try:
        yield checker
    finally:
        checker.stop()


def everywhere(checkers: list[Checker], act: Callable[[Checker, str], Any]) -> list[Any]:
    """For each verifier of each process."""
    return [act(checker, label) for checker in checkers for label in checker.labels]
