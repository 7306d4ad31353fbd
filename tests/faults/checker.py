"""A service with verifiers, as a process of its own: it checks what it is given, over and over, and tells what changes.

Lines of JSON come in, the first of them saying who it is:

{"issuer": "...", "ca_file": "...", "verifiers": {"one": {"audience": "...", "verifier_id": "...", ...}}}
{"watch": "token 1", "text": "ey...", "by": ["one"]}
{"forget": "token 1"}

and go out, one whenever an outcome is another than before, with the time on the machine's monotonic clock at which the
check began and at which it ended:

{"by": "one", "name": "token 1", "outcome": "good", "began": 12.001, "at": 12.003}
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from doorward_verify import DoorwardError, Verifier

PAUSE = 0.005

_telling = threading.Lock()


def tell(**said: Any) -> None:
    with _telling:
        print(json.dumps(said), flush=True)


class Watch(threading.Thread):
    """One verifier and what it is to check."""

    def __init__(self, label: str, verifier: Verifier) -> None:
        super().__init__(daemon=True)
        self._label, self._verifier = label, verifier
        self.texts: dict[str, str] = {}
        self._told: dict[str, str] = {}
        self._pause = threading.Event()
        self.start()

    def run(self) -> None:
        state = ""
        while True:
            for name, text in list(self.texts.items()):
                self._check(name, text)
            if self._verifier.state != state:
                state = self._verifier.state
                tell(by=self._label, name="feed", outcome=state, began=time.monotonic(), at=time.monotonic())
            self._pause.wait(PAUSE)

    def forget(self, name: str) -> None:
        self.texts.pop(name, None)
        self._told.pop(name, None)

    def _check(self, name: str, text: str) -> None:
        began = time.monotonic()
        try:
            outcome = "stale" if self._verifier.check(text).stale else "good"
        except DoorwardError as error:
            outcome = error.reason
        if self._told.get(name) != outcome:
            self._told[name] = outcome
            tell(by=self._label, name=name, outcome=outcome, began=began, at=time.monotonic())


def main() -> None:
    given = json.loads(sys.stdin.readline())
    watches = {
        label: Watch(label, Verifier(given["issuer"], ca_file=given["ca_file"], **options))
        for label, options in given["verifiers"].items()
    }
    for line in sys.stdin:
        order = json.loads(line)
        for label in order.get("by") or watches:
            if "watch" in order:
                watches[label].texts[order["watch"]] = order["text"]
            else:
                watches[label].forget(order["forget"])


if __name__ == "__main__":
    main()
