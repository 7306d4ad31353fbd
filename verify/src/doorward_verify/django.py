"""Guard for Django: decorates a view, sync or async, or everything behind it as a middleware.

@guard("invoices:read")
def invoices(request): ...                  request.verified is what was proved

guarded = guard("invoices:read")            in settings: MIDDLEWARE = ["project.doors.guarded", ...]
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Unpack

from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware

from doorward_verify.challenge import Answer
from doorward_verify.django_request import sent, unkept
from doorward_verify.door import Door
from doorward_verify.needs import Needs, Wanted

View = Callable[..., Any]


class Guard(Door):
    """Where it has metadata, its middleware serves them in front of everything."""

    def __call__(self, *scope: str, **wanted: Unpack[Wanted]) -> Callable[[View], View]:
        needs = Needs.of(*scope, **wanted)

        metadata_path = None if self.resource_metadata is None else self.metadata_path

        def decorate(view: View) -> View:
            @wraps(view)
            async def guarded_async(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                if request.path == metadata_path:
                    return self.metadata(request)
                request.verified = found = await self.acheck(*sent(self, request, needs))
                if isinstance(found, Answer):
                    return response(found)
                return unkept(request, await view(request, *args, **kwargs))

            @wraps(view)
            def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                if request.path == metadata_path:
                    return self.metadata(request)
                request.verified = found = self.check(*sent(self, request, needs))
                return response(found) if isinstance(found, Answer) else unkept(request, view(request, *args, **kwargs))

            return guarded_async if iscoroutinefunction(view) else guarded

        both: Callable[[View], View] = sync_and_async_middleware(decorate)
        return both

    def metadata(self, _: HttpRequest) -> HttpResponse:
        """A view for `metadata_path`."""
        return response(self.metadata_answer)


def response(answer: Answer) -> HttpResponse:
    return HttpResponse(json.dumps(answer.body), status=answer.status, headers=joined(answer))


def joined(answer: Answer) -> dict[str, str]:
    """Django sends no header twice, and RFC 9110 §11.6.1 lets challenges share one."""
    return {name: ", ".join(answer.all(name)) for name, _ in answer.headers}
