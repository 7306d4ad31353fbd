"""What happens to a FastAPI route when it is made: refused if its Guard would not be found, and made lighter.

FastAPI looks up an annotation that is a string among the names of the module. What it does not find there it takes for
a parameter of the query: the Guard of such a route is never asked, and a default lets everybody in.

What stands in the OpenAPI document alone is a dependency too, and each costs a request as much as the check itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import wraps
from typing import Any, ForwardRef

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import get_dependant
from fastapi.routing import APIRoute, APIRouter, APIWebSocketRoute
from fastapi.security.base import SecurityBase

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


def refuse_lost(dependant: Dependant, call: Any) -> None:
    name = getattr(call, "__qualname__", call)
    for annotation in lost(dependant):
        raise Misconfigured(
            f"FastAPI cannot find a name in `{annotation}` of {name}, so that a guard in "
            "it would not be asked: the name is local to a function, or there for type checkers alone. Move it to the "
            "module, or write `caller: Verified = guard(...)`"
        )


class Documented(SecurityBase):
    """A security scheme for the document, which answers nothing: what depends on it must do without."""

    def __init__(self, scheme_name: str, model: Any) -> None:
        self.scheme_name = scheme_name
        self.model = model

    async def __call__(self) -> None:
        return None


def lighten(dependant: Dependant) -> Dependant:
    """Takes what is there for the document out of what each request has to solve, and returns a copy with all of it."""
    document = replace(dependant, dependencies=[lighten(inner) for inner in dependant.dependencies])
    dependant.dependencies = [inner for inner in dependant.dependencies if not isinstance(inner.call, Documented)]
    if len(dependant.dependencies) < len(document.dependencies):
        # Said once: FastAPI would find out for each request that a Guard's dependency is no generator.
        dependant.scope = "request"
    return document


def prepare(kind: Any) -> None:
    """Every route of this kind is looked at when it is made: nobody has to think of it."""
    make: Callable[..., None] = kind.__init__

    @wraps(make)
    def made(route: Any, *args: Any, **kwargs: Any) -> None:
        make(route, *args, **kwargs)
        refuse_lost(route.dependant, route.endpoint)
        # The handler has been made of the one; the document is made of the other.
        route.dependant = lighten(route.dependant)

    kind.__init__ = made


def prepare_including() -> None:
    """Routes that are included are made of what they were made of before: what is added then is looked at here."""
    kind: Any = APIRouter
    include: Callable[..., None] = kind.include_router

    @wraps(include)
    def included(parent: APIRouter, *args: Any, **options: Any) -> None:
        for added in (*parent.dependencies, *(options.get("dependencies") or ())):
            if added.dependency is not None:
                refuse_lost(get_dependant(path="", call=added.dependency), added.dependency)
        include(parent, *args, **options)

    kind.include_router = included


def watch() -> None:
    for kind in (APIRoute, APIWebSocketRoute):
        prepare(kind)
    prepare_including()
