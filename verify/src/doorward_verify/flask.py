"""Guard for Flask: decorates a view, sync or async.

@app.get("/invoices")
@guard("invoices:read")
def invoices(): ...    g.verified is what was proved
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Unpack

from flask import Response, after_this_request, current_app, g, request

from doorward_verify import body, credential
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
                query = request.query_string
                fields, keys = credential.fields(request.environ), self._in_body()
                found = self.check(fields, needs, request.remote_addr, query, keys, request.environ)
                if isinstance(found, Answer):
                    return _response(found)
                if credential.in_query(query):
                    after_this_request(_unkept)
                g.verified = found
                return current_app.ensure_sync(view)(*args, **kwargs)

            return guarded

        return decorate

    def _in_body(self) -> Sequence[str]:
        if not self.reads_body or not body.is_read(request.content_type or "", str(request.content_length or "")):
            return ()
        # Empty where it was read as a form before.
        raw = request.get_data()
        return body.keys(request.content_type or "", raw) if raw else request.form.getlist(body.NAME)

    def metadata(self) -> Response:
        """A view for `metadata_path`."""
        return _response(self.metadata_answer)


def _unkept(response: Response) -> Response:
    response.headers.update(credential.OF_EXPOSED)
    return response


def _response(answer: Answer) -> Response:
    return Response(json.dumps(answer.body), answer.status, list(answer.headers))
