"""Guard for Flask: decorates a view, sync or async.

@app.get("/invoices")
@guard("invoices:read")
def invoices(): ...    g.verified is what was proved
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, Unpack

from flask import Response, current_app, g, request

from doorward_verify import credential
from doorward_verify.challenge import Answer
from doorward_verify.door import Door
from doorward_verify.needs import Needs, Wanted

View = Callable[..., Any]


class Guard(Door):
    def __call__(self, *scope: str, **wanted: Unpack[Wanted]) -> Callable[[View], View]:
        needs = Needs.of(*scope, **wanted)

        def decorate(view: View) -> View:
            @wraps(view)
            def guarded(*args: Any, **kwargs: Any) -> Any:
                found = self.check(credential.fields(request.environ), needs, request.remote_addr)
                if isinstance(found, Answer):
                    return _response(found)
                g.verified = found
                return current_app.ensure_sync(view)(*args, **kwargs)

            return guarded

        return decorate

    def metadata(self) -> Response:
        """A view for `metadata_path`."""
        return _response(self.metadata_answer)


def _response(answer: Answer) -> Response:
    return Response(json.dumps(answer.body), answer.status, list(answer.headers))
