"""Refuses a FastAPI route whose Guard would not be found, when the route is made.

FastAPI looks up an annotation that is a string among the names of the module. What it does not find there it takes for
a parameter of the query: the Guard of such a route is never asked, and a default lets everybody in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, ForwardRef

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, APIWebSocketRoute

from doorward_verify.errors import Misconfigured


def lost(dependant: Dependant) -> Iterator[str]:
    """The annotations that were not found, of a route and of all that it depends on."""
    fields = (
        dependant.path_params, dependant.query_params, dependant.header_params, dependant.cookie_params,
        dependant.body_params,
    )  # fmt: skip
    for field in (one for some in fields for one in some):
        annotation: object = field.field_info.annotation
        if isinstance(annotation, ForwardRef):
            yield f"{field.name}: {annotation.__forward_arg__}"
    for inner in dependant.dependencies:
        yield from lost(inner)


def refuse_lost(kind: Any) -> None:
    """Every route of this kind is looked at when it is made: nobody has to think of it."""
    make: Callable[..., None] = kind.__init__

    @wraps(make)
    def made(route: Any, *args: Any, **kwargs: Any) -> None:
        make(route, *args, **kwargs)
        for annotation in lost(route.dependant):
            raise Misconfigured(
                f"FastAPI cannot find a name in `{annotation}` of {route.endpoint.__qualname__}, so that a guard in it "
                "would not be asked: the name is local to a function, or there for type checkers alone. Move it to the "
                "module, or write `caller: Verified = guard(...)`"
            )

    kind.__init__ = made


def watch() -> None:
    for kind in (APIRoute, APIWebSocketRoute):
        refuse_lost(kind)
