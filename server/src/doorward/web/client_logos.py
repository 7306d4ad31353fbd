"""`/consent/logo/{client}`: the logo of the client that asks, as an image of ours (T134)."""

from __future__ import annotations

import re
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from doorward.protocol.refusal import NotFound
from doorward.store import clients
from doorward.web.incoming import Incoming
from doorward.web.refused import refuse
from doorward.web.replies import Reply
from doorward.web.responses import respond
from doorward.web.runtime import Runtime

ID = re.compile(r"\w{1,64}", re.ASCII)


def routes(runtime: Runtime) -> list[Route]:
    async def logo(request: Request) -> Response:
        incoming = Incoming(request.scope, request.receive, runtime)
        id_ = request.path_params["client"]
        client = await runtime.store.read(partial(clients.shown, id_=id_)) if ID.fullmatch(id_) else None
        if client is None or client.logo_uri is None:
            return respond(refuse(NotFound("there is no such logo", reason="path_unknown"), incoming), incoming)
        drawn = await runtime.logos.of(client)
        fields = [(b"content-type", drawn.media_type.encode()), (b"cache-control", b"private, max-age=3600")]
        # An image that is opened by itself runs nothing either.
        fields += [
            (b"content-security-policy", b"default-src 'none'"),
            (b"cross-origin-resource-policy", b"same-origin"),
        ]
        return respond(Reply(200, drawn.content, fields), incoming)

    return [Route("/consent/logo/{client}", logo, methods=["GET"])]
