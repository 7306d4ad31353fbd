"""`doorward explain REQUEST_ID`: why it was refused and what helps; the id alone is enough for that (decision 23)."""

from __future__ import annotations

from typing import Annotated

import typer

from doorward.cli import output
from doorward.cli.admin_api import Object, run, segment
from doorward.cli.durations import full
from doorward.cli.failure import USAGE, Failure, Refused
from doorward.cli.options import Json, verb


def explain(
    context: typer.Context,
    request_id: Annotated[str, typer.Argument(metavar="REQUEST_ID", help="From an answer: its body or X-Request-Id.")],
    json: Json = False,
) -> None:
    """Say why a request was refused, and what helps.

    The sentence and the fix are read from the id itself. The private detail comes from the server or the data
    directory, where one can be reached.
    """
    told = _read(request_id.strip())
    try:
        told = run(context, lambda api: api.get(f"/requests/{segment(told['id'])}"))
    except Failure as failure:
        unknown = isinstance(failure, Refused) and failure.status == 404
        why = "this deployment did not make this id" if unknown else failure.sentence
        output.note(f"Read from the id alone: {output.printable(why)}.")
    if json:
        output.show_json(told)
        return
    _show(told)


def _read(text: str) -> Object:
    """What the id says without anybody's help; whether it is genuine, only the deployment can tell."""
    from doorward.protocol.reasons import BY_CODE
    from doorward_verify import request_id

    try:
        found = request_id.read(text)
    except ValueError:
        raise Failure(f"{text!r} is no request id: req_ and 22 letters and digits are", exit_code=USAGE) from None
    reason = BY_CODE.get(found.reason_code)
    return {
        "id": text,
        "at": found.at,
        "origin": "service" if found.node == 0 else "server",
        "reason": reason and reason.name,
        "status": reason and reason.status,
        "sentence": "The request was not refused." if reason is None else reason.sentence,
        "fix": "" if reason is None else reason.fix,
        "detail": None,
    }


def _show(told: Object) -> None:
    detail = told["detail"] or {}
    answered = f"{told['status']} {told['reason']}" if told["reason"] else None
    by = "a service that checks" if told["origin"] == "service" else "the server"
    output.heading(told["sentence"])
    output.fields(
        (
            ("fix", told["fix"]),
            ("answer", answered),
            ("when", full(told["at"])),
            ("by", by),
            ("request", f"{detail['method']} {detail['path']}" if detail else None),
            ("caller", detail.get("actor")),
            ("detail", detail.get("detail")),
        )
    )


app = verb(explain, "doorward explain req_1zxMiE0F01bq7Vw3Yp4sT2")
