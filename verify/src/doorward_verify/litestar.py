"""Guard for Litestar, HTTP and WebSocket: a middleware for a handler, controller, router or application.

@get("/invoices", middleware=[guard("invoices:read")])
async def invoices(request: Request[Any, Verified, Any]) -> ...    request.auth is what was proved
"""

from __future__ import annotations

from typing import Any, Unpack

from litestar import asgi as route
from litestar.types import ASGIApp, Receive, Scope, Send

from doorward_verify.asgi import VERIFIED, Reply, guarded
from doorward_verify.door import Door
from doorward_verify.needs import Needs, Wanted


class Guard(Door):
    def __call__(self, *scope: str, **wanted: Unpack[Wanted]) -> Any:
        needs = Needs.of(*scope, **wanted)

        def middleware(app: ASGIApp) -> Any:
            async def show(scope: Any, receive: Any, send: Any) -> None:
                scope["auth"] = scope[VERIFIED]
                await app(scope, receive, send)

            return guarded(show, self, needs)

        return middleware

    @property
    def metadata(self) -> route:
        """A route handler, with its path."""
        reply: Any = Reply(self.metadata_answer)

        @route(self.metadata_path, copy_scope=True)
        async def metadata(scope: Scope, receive: Receive, send: Send) -> None:
            await reply(scope, receive, send)

        return metadata
