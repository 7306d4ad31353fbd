"""Pages for people: `/setup`, and what they load from `/static/*`, under a strict CSP, without inline script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from jinja2 import Environment, PackageLoader
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from doorward.app import SETUP
from doorward.exchange import run
from doorward.protocol.refusal import InvalidRequest
from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import Reply
from doorward.web.responses import rendered, respond
from doorward.web.runtime import Runtime

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
)
PAGE_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
# Named one by one: a path from a request never reaches the file system.
STATIC = {"doorward.css": "text/css; charset=utf-8", "setup.js": "text/javascript; charset=utf-8"}
STATIC_HEADERS = {
    "cache-control": "public, max-age=300",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


@cache
def templates() -> Environment:
    environment = Environment(loader=PackageLoader("doorward.web"), autoescape=True, auto_reload=False)
    environment.filters["prose"] = _prose
    return environment


def _prose(text: str) -> Markup:
    """`Code` between backticks, as our sentences write it."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if i % 2 else part for i, part in enumerate(parts))


@cache
def _static(name: str) -> bytes:
    return (files("doorward.web") / "static" / name).read_bytes()


async def setup(request: Request) -> Response:  # noqa: ARG001
    page = templates().get_template("setup.html").render()
    return Response(page, media_type="text/html", headers=PAGE_HEADERS)


async def static(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in STATIC:
        return Response(status_code=404, headers=STATIC_HEADERS)
    return Response(_static(name), headers={"content-type": STATIC[name], **STATIC_HEADERS})


def routes(runtime: Runtime) -> list[Route]:
    async def use(request: Request) -> Response:
        """The page posts the token of its fragment here, and shows the first admin key (decision 17)."""
        incoming = Incoming(request.scope, request.receive, runtime, actor="setup")
        try:
            reply = await _use_link(incoming)
        except REFUSED as fault:
            reply = refuse(fault, incoming)
        return respond(reply, incoming)

    return [
        Route("/setup", setup, methods=["GET"]),
        Route("/setup", use, methods=["POST"]),
        Route("/static/{name}", static, methods=["GET"]),
    ]


async def _use_link(incoming: Incoming) -> Reply:
    given = await incoming.json()
    if given.keys() != {"token"} or not isinstance(given["token"], str):
        raise InvalidRequest("the body must be an object with a token")
    return await run(
        SETUP,
        SETUP.parse(given["token"]),
        incoming.runtime.store,
        lambda reply: rendered(reply, 201),
        incoming.context,
    )
