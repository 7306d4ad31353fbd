"""Routes of pages: what each answers, or the refusal as a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from doorward.web.incoming import Incoming
from doorward.web.refused import REFUSED
from doorward.web.refused_page import refused_page
from doorward.web.replies import Reply, send_reply
from doorward.web.responses import respond
from doorward.web.runtime import Runtime

Answer = Callable[[Incoming], Awaitable[Reply]]
Answers = Mapping[str, Answer | None]
ALL = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def page_route(
    runtime: Runtime, path: str, *, get: Answer | None = None, post: Answer | None = None, head: bool = True
) -> Route:
    """One path; a method that it does not have is refused as a page too (T014: no CORS, whatever asks).

    Without `head` a GET is more than a look: it may give a code, which HEAD would give to nobody.
    """
    answers = {"GET": get, "HEAD": get if head else None, "POST": post}

    async def endpoint(request: Request) -> Response:
        incoming = Incoming(request.scope, request.receive, runtime)
        return respond(await _answered(incoming, answers), incoming)

    # Every method: Starlette would answer the others itself, without a page.
    return Route(path, endpoint, methods=ALL)


def page_application(runtime: Runtime, path: str, *, get: Answer, post: Answer) -> ASGIApp:
    """The same without `head` as plain ASGI, for a page that is seldom seen: most who come there are sent on."""
    answers: Answers = {"GET": get, "POST": post}

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        incoming = Incoming(scope, receive, runtime)
        reply = await _answered(incoming, answers)
        runtime.metrics.answered(path, reply.status)
        await send_reply(send, reply, incoming)

    return application


async def _answered(incoming: Incoming, answers: Answers) -> Reply:
    try:
        incoming.allow(*(method for method, answer in answers.items() if answer is not None))
        answer = answers[incoming.method]
        assert answer is not None, "only what is offered is allowed"
        return await answer(incoming)
    except REFUSED as fault:
        return refused_page(fault, incoming)
