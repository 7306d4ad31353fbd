"""How a command says no: one sentence, perhaps ways out, and the exit code of the contract."""

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

        lines = [f"doorward: {self.sentence}", *self._remedies()]
        if self.problem.get("request_id"):
            lines.append(f"  explain  doorward explain {self.problem['request_id']}")
        return "\n".join(printable(line) for line in lines)

    def _remedies(self) -> list[str]:
        """Which fields are wrong, where that is known; else what helps against refusals of this kind."""
        from doorward.protocol.reasons import REASONS

        errors = self.problem.get("errors")
        if isinstance(errors, list) and errors:
            told = (f"{error['field']} {error['detail']}" for error in errors)
            return [f"  wrong    {text}" for text in told if text != self.sentence]
        reason = REASONS.get(str(self.problem.get("reason")))
        return [] if reason is None else [f"  fix      {reason.fix}"]

    def json(self) -> str:
        return json.dumps(self.problem, ensure_ascii=False)
