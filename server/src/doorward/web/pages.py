"""Pages for people: `/setup`, and what they load from `/static/*`, under a strict CSP, without inline script."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from doorward.app import SETUP, SETUP_CHECK
from doorward.exchange import run
from doorward.protocol import password
from doorward.protocol.refusal import InvalidRequest
from doorward.web.hashed import hashed
from doorward.web.incoming import Incoming
from doorward.web.page import page
from doorward.web.page_routes import page_route
from doorward.web.refused import REFUSED, refuse
from doorward.web.replies import Reply
from doorward.web.responses import rendered, respond
from doorward.web.runtime import Runtime

# Named one by one: a path from a request never reaches the file system.
SCRIPT = "text/javascript; charset=utf-8"
STATIC = {
    "doorward.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml",
    "setup.js": SCRIPT, "reset.js": SCRIPT, "form_post.js": SCRIPT, "copy.js": SCRIPT,
}  # fmt: skip
STATIC_HEADERS = {
    "cache-control": "public, max-age=300",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
}


@cache
def _static(name: str) -> bytes:
    return (files("doorward.web") / "static" / name).read_bytes()


async def setup(incoming: Incoming) -> Reply:
    return page(incoming, "setup.html", form_action=("'none'",), shortest=password.SHORTEST)


def _brand_files(runtime: Runtime) -> list[Route]:
    """The deployment's own look: a sheet of its accent colour, and its logo."""
    brand = runtime.brand
    # An image may hold a script where it is opened by itself.
    headers = {**STATIC_HEADERS, "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}

    async def sheet(request: Request) -> Response:  # noqa: ARG001
        return Response(brand.sheet, media_type="text/css", headers=STATIC_HEADERS)

    async def logo(request: Request) -> Response:  # noqa: ARG001
        if brand.logo is None:
            return Response(status_code=404, headers=STATIC_HEADERS)
        return Response(brand.logo, headers={"content-type": brand.logo_type, **headers})

    return [Route("/static/brand.css", sheet, methods=["GET"]), Route("/static/logo", logo, methods=["GET"])]


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
        Route("/setup", use, methods=["POST"]),
        page_route(runtime, "/setup", get=setup),
        *_brand_files(runtime),
        Route("/static/{name}", static, methods=["GET"]),
    ]


async def _use_link(incoming: Incoming) -> Reply:
    """With a user name and a password the first administrator is a person too; whether the link is good comes first."""
    given = await incoming.json()
    if given.keys() not in ({"token"}, {"token", "username", "password"}) or not _are_texts(given):
        raise InvalidRequest("the body must be an object with a token, and perhaps a username and a password")
    store, username, chosen = incoming.runtime.store, given.get("username"), given.get("password")
    phc = None
    if username is not None and chosen is not None:
        await run(SETUP_CHECK, SETUP.parse(given["token"], username), store, lambda _: None, incoming.context)
        password.acceptable(chosen, (username,), incoming.runtime.leaked)
        phc = await hashed(incoming.runtime, chosen)
    request = SETUP.parse(given["token"], username, phc)
    return await run(SETUP, request, store, lambda reply: rendered(reply, 201), incoming.context)


def _are_texts(given: dict[str, Any]) -> bool:
    return all(isinstance(value, str) for value in given.values())
