"""Routes of pages: what each answers, or the refusal as a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED
from doorward.web.refused_page import refused_page
from doorward.web.replies import Reply
from doorward.web.responses import respond
from doorward.web.runtime import Runtime

Answer = Callable[[Incoming], Awaitable[Reply]]
ALL = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def page_route(
    runtime: Runtime, path: str, *, get: Answer | None = None, post: Answer | None = None, head: bool = True
) -> Route:
    """One path; a method that it does not have is refused as a page too (T014: no CORS, whatever asks).

    Without `head` a GET is more than a look: it may give a code, which HEAD would give to nobody.
    """
    answers = {"GET": get, "HEAD": get if head else None, "POST": post}
    offered = tuple(method for method, answer in answers.items() if answer is not None)

    async def endpoint(request: Request) -> Response:
        incoming = Incoming(request.scope, request.receive, runtime)
        try:
            incoming.allow(*offered)
            answer = answers[incoming.method]
            assert answer is not None, "only what is offered is allowed"
            reply = await answer(incoming)
        except REFUSED as fault:
            reply = refused_page(fault, incoming)
        return respond(reply, incoming)

    # Every method: Starlette would answer the others itself, without a page.
    return Route(path, endpoint, methods=ALL)
