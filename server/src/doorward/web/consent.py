"""`/consent`: what a client asks a user for, in the api owner's words, and the user's answer (T141, T149).

GET  /consent?request=ID
POST /consent               request, answer=allow|deny, scope.NAME=on, account, csrf     -> 303 to the client
"""

from __future__ import annotations

from starlette.routing import Route

from doorward.protocol.form import Form
from doorward.protocol.interaction import Answered, Page, Question, Response, Resumed
from doorward.web import forms
from doorward.web.authorize import browser_of, onward, told
from doorward.web.incoming import Incoming
from doorward.web.page import page
from doorward.web.page_routes import page_route
from doorward.web.replies import Reply
from doorward.web.runtime import Runtime

PATH = "/consent"
TICKED = "scope."


def routes(runtime: Runtime) -> list[Route]:
    return [page_route(runtime, PATH, get=show, post=answer, head=False)]


async def show(incoming: Incoming) -> Reply:
    request = Resumed(incoming.query().get("request") or "", await browser_of(incoming))

    def render(found: Response | Page | Question) -> Reply:
        return _ask(incoming, found) if isinstance(found, Question) else onward(found, incoming)

    return await told(incoming, PATH, request, render)


def _ask(incoming: Incoming, question: Question) -> Reply:
    """What its form leads to in the end has to be named too (decision 32)."""
    csrf = forms.shown(incoming)
    return page(
        incoming, "consent.html", form_action=("'self'", question.origin), more=csrf.headers,
        csrf=csrf.token, question=question,
    )  # fmt: skip


async def answer(incoming: Incoming) -> Reply:
    given = await forms.received(incoming)
    resumed = Resumed(given.get("request") or "", await browser_of(incoming))
    request = Answered(resumed, given.get("answer") == "allow", _ticked(given), given.get("account"))
    return await told(incoming, "/consent answered", request, lambda found: onward(found, incoming))


def _ticked(given: Form) -> frozenset[str]:
    return frozenset(name.removeprefix(TICKED) for name in given.fields if name.startswith(TICKED) and given.get(name))
