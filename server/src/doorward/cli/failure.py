"""How a command says no: one sentence, perhaps ways out, and the exit code (0 ok, 1 failed, 2 usage, 4 not authenticated)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

FAILED = 1
USAGE = 2
CANCELLED = 2
NOT_AUTHENTICATED = 4


class Failure(Exception):  # noqa: N818  a failure is an answer, not a fault
    """What a person reads instead of a traceback."""

    def __init__(self, sentence: str, *ways_out: str, exit_code: int = FAILED) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.ways_out = ways_out
        self.exit_code = exit_code

    def text(self) -> str:
        lines = [f"doorward: {self.sentence}"]
        if self.ways_out:
            lines.append("Any one of these is a way out:")
            lines += [f"  {number}. {way}" for number, way in enumerate(self.ways_out, 1)]
        return "\n".join(lines)

    def json(self) -> str:
        return json.dumps({"detail": self.sentence, "ways_out": list(self.ways_out)}, ensure_ascii=False)


class Refused(Failure):
    """The API's no: its problem document (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        sentence = problem.get("detail") or problem.get("title") or f"the server answered {status}"
        super().__init__(str(sentence), exit_code=NOT_AUTHENTICATED if status == 401 else FAILED)
        self.status = status
        self.problem = problem

    def text(self) -> str:
        from doorward.cli.output import printable
        from doorward.protocol.reasons import REASONS

        rows = [f"doorward: {printable(self.sentence)}"]
        reason = REASONS.get(str(self.problem.get("reason")))
        if reason is not None:
            rows.append(f"  fix      {reason.fix}")
        if self.problem.get("request_id"):
            rows.append(f"  explain  doorward explain {printable(str(self.problem['request_id']))}")
        return "\n".join(rows)

    def json(self) -> str:
        return json.dumps(self.problem, ensure_ascii=False)
