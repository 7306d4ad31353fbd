"""The OpenAPI 3.1 document of /v1, and the page that shows it: no script, no third party, every reason with its fix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from doorward.protocol.reasons import REASONS
from doorward.web.page import PAGE_HEADERS, templates
from doorward.web.replies import NOSNIFF

DESCRIPTION = (
    "Every change needs an admin key with the scope named beside it, as `Authorization: Bearer dwa_live_...`. "
    "Creations take an `Idempotency-Key`, updates an `If-Match` with the entity's `ETag`. "
    "Refusals are problem documents (RFC 9457) whose `type` leads to the reason and its fix."
)
HEADERS = {"cache-control": "public, max-age=300", NOSNIFF[0].decode(): NOSNIFF[1].decode()}


@dataclass(frozen=True, slots=True)
class FieldProblem:
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """RFC 9457, with the reason, the request id and, for 422, the fields."""

    type: str
    title: str
    status: int
    detail: str
    reason: str
    request_id: str
    errors: list[FieldProblem] | None = None


_PROBLEM_CONTENT = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "Refused; nothing was changed.", "content": _PROBLEM_CONTENT},
    "5XX": {"description": "Not possible now; nothing was changed.", "content": _PROBLEM_CONTENT},
}


def describe(api: FastAPI) -> None:
    """Serves the document and its page; both are public, since they say nothing about the deployment."""

    @cache
    def document() -> dict[str, Any]:
        made = get_openapi(
            title="Doorward admin API", version="1", openapi_version="3.1.0", routes=api.routes,
            description=DESCRIPTION, servers=[{"url": "/v1"}],
        )  # fmt: skip
        return _finished(made)

    async def as_json(request: Request) -> Response:  # noqa: ARG001
        return JSONResponse(document(), headers=HEADERS)

    async def as_page(request: Request) -> Response:  # noqa: ARG001
        page = templates().get_template("reference.html")
        text = page.render(document=document(), operations=_operations(document()), reasons=REASONS.values())
        return Response(text, media_type="text/html", headers=PAGE_HEADERS)

    api.openapi = document  # type: ignore[method-assign]
    api.router.add_route("/openapi.json", as_json, methods=["GET"], include_in_schema=False)
    api.router.add_route("/docs", as_page, methods=["GET"], include_in_schema=False)


def _finished(document: dict[str, Any]) -> dict[str, Any]:
    """FastAPI's own 422 goes: ours is one of the 4XX."""
    components = document.setdefault("components", {})
    for name in ("HTTPValidationError", "ValidationError"):
        components.get("schemas", {}).pop(name, None)
    # Added here once: as the model of each route's answers it would be built anew for all of them, at every start.
    schema = TypeAdapter(Problem).json_schema(ref_template="#/components/schemas/{model}")
    components.setdefault("schemas", {}).update({**schema.pop("$defs"), "Problem": schema})
    components["securitySchemes"] = {
        "admin_key": {"type": "http", "scheme": "bearer", "description": "An admin key: dwa_live_..."}
    }
    for operations in document["paths"].values():
        for operation in operations.values():
            operation["responses"].pop("422", None)
    return document


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    """The operations in the order of their paths, with the names of what they take and give."""
    return [
        {
            "method": method.upper(),
            "path": "/v1" + path,
            "scope": operation["x-scope"],
            "summary": operation["summary"],
            "parameters": [p for p in operation.get("parameters", ()) if p["in"] == "query"],
            "body": _members(document, operation.get("requestBody", {}).get("content", {})),
            "reply": _members(document, _success(operation).get("content", {})),
        }
        for path, operations in sorted(document["paths"].items())
        for method, operation in operations.items()
    ]


def _success(operation: dict[str, Any]) -> dict[str, Any]:
    return next(reply for status, reply in operation["responses"].items() if status.startswith("2"))


def _members(document: dict[str, Any], content: dict[str, Any]) -> dict[str, Any]:
    schema = content.get("application/json", {}).get("schema", {})
    name = schema.get("$ref", "").rpartition("/")[2]
    return {"name": name, **document["components"]["schemas"].get(name, {})} if name else {}
