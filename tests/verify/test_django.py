"""django: decorated views, sync and async, over WSGI and ASGI; a middleware; and Django REST framework."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, ClassVar

import pytest
from tests.verify.django_project import Project  # has to come before everything that reads Django's settings

# isort: split

from django.http import HttpRequest, JsonResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from tests.verify.asgi_calls import Answered, Headers
from tests.verify.asking import KEY
from tests.verify.issuing import AUDIENCE
from tests.verify.shells import ACCOUNT, METADATA, METADATA_PATH, POINTER, STEP_UP, Shell, bearer, challenges

from doorward_verify import Verified, Verifier
from doorward_verify.django import Guard
from doorward_verify.rest_framework import Guard as RestGuard


def account(request: Any) -> JsonResponse:
    return JsonResponse({"account": None if request.verified is None else request.verified.account})


async def account_async(request: Any) -> JsonResponse:
    return account(request)


def routes(guard: Guard, view: Any) -> list[Any]:
    class Invoices(View):
        @method_decorator(guard("invoices:read"))
        def get(self, request: HttpRequest) -> JsonResponse:
            return account(request)

        @method_decorator(guard("invoices:read", "invoices:write"))
        def post(self, request: HttpRequest) -> JsonResponse:
            return account(request)

    return [
        path("invoices", Invoices.as_view()),
        path("me", guard()(view)),
        path("perhaps", guard(optional=True)(view)),
        path("transfers", guard("invoices:read", **STEP_UP)(view)),
        path(guard.metadata_path[1:], guard.metadata),
    ]


@pytest.fixture
def guard(verifier: Verifier) -> Guard:
    return Guard(verifier, METADATA)


class TestShell(Shell):
    @pytest.fixture
    def app(self, guard: Guard) -> Project:
        return Project("sync", *routes(guard, account))

    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return app.call(headers, path, method)


class TestShellOverAsgi(Shell):
    @pytest.fixture
    def app(self, guard: Guard) -> Project:
        return Project("async", *routes(guard, account_async))

    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return app.call_async(headers, path, method)


@pytest.fixture
def doors(guard: Guard) -> Iterator[str]:
    """A module of the project, for settings to name what is in it."""
    module = sys.modules["project_doors"] = ModuleType("project_doors")
    module.reading = guard("invoices:read")  # type: ignore[attr-defined]
    module.writing = guard("invoices:read", "invoices:write")  # type: ignore[attr-defined]
    module.strong = guard("invoices:read", **STEP_UP)  # type: ignore[attr-defined]
    yield "project_doors"
    del sys.modules["project_doors"]


@pytest.mark.parametrize("view", [account, account_async])
@pytest.mark.parametrize("how", ["call", "call_async"])
class TestMiddleware:
    def project(self, doors: str, door: str, view: Any) -> Project:
        return Project("whole", path("me", view), middleware=(f"{doors}.{door}",))

    def test_everything_is_behind_it(self, doors: str, view: Any, how: str) -> None:
        call = getattr(self.project(doors, "reading", view), how)
        assert call(bearer(KEY), "/me").body == ACCOUNT
        for where in ("/me", "/nowhere"):
            answered = call([], where)
            assert answered.status == 401
            assert challenges(answered)[0] == f'Bearer realm="{AUDIENCE}", scope="invoices:read", {POINTER}'

    def test_a_missing_scope_is_403(self, doors: str, view: Any, how: str) -> None:
        answered = getattr(self.project(doors, "writing", view), how)(bearer(KEY), "/me")
        assert answered.status == 403
        assert challenges(answered)[0].endswith(f'scope="invoices:read invoices:write", {POINTER}')

    def test_a_weak_sign_in_is_asked_for_a_better_one(self, doors: str, view: Any, how: str, good_jwt: str) -> None:
        answered = getattr(self.project(doors, "strong", view), how)(bearer(good_jwt), "/me")
        assert (answered.status, answered.body["error"]) == (401, "insufficient_user_authentication")
        assert 'acr_values="mfa phr", max_age="300"' in challenges(answered)[0]

    def test_the_metadata_are_in_front_of_it(self, doors: str, view: Any, how: str) -> None:
        answered = getattr(self.project(doors, "reading", view), how)([], METADATA_PATH)
        assert (answered.status, answered.body) == (200, METADATA)

    def test_without_metadata_their_path_is_guarded_like_any_other(
        self, doors: str, view: Any, how: str, verifier: Verifier
    ) -> None:
        sys.modules[doors].reading = Guard(verifier)("invoices:read")  # type: ignore[attr-defined]
        assert getattr(self.project(doors, "reading", view), how)([], METADATA_PATH).status == 401


class TestRestFramework(Shell):
    """Its exceptions carry no headers but the challenge and Retry-After; the request id is in the body.

    It authenticates before it knows what a view asks for, so that a bad credential is refused without naming a scope.
    """

    has_request_id = False
    knows_the_scope_first = False

    @pytest.fixture
    def app(self, verifier: Verifier) -> Project:
        guard = RestGuard(verifier, METADATA)

        def view(*permissions: Any) -> type[APIView]:
            class Account(APIView):
                authentication_classes: ClassVar = [guard.authentication]
                permission_classes: ClassVar = list(permissions)

                def get(self, request: Request) -> Response:
                    return Response({"account": None if request.auth is None else request.auth.account})

            return Account

        class Invoices(view(guard.permission("invoices:read"))):  # type: ignore[misc]
            def get_permissions(self) -> list[Any]:
                wanted = guard.permission("invoices:read", "invoices:write")
                return [wanted()] if self.request.method == "POST" else super().get_permissions()

            def post(self, request: Request) -> Response:
                return self.get(request)

        return Project(
            "rest",
            path("invoices", Invoices.as_view()),
            path("me", view(guard.permission()).as_view()),
            path("perhaps", view(guard.permission(optional=True)).as_view()),
            path("transfers", view(guard.permission("invoices:read", **STEP_UP)).as_view()),
            path("anybody", view(IsAuthenticated).as_view()),
            path(guard.metadata_path[1:], guard.metadata),
        )

    def call(self, app: Any, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        return app.call(headers, path, method)

    def test_the_frameworks_own_permissions_challenge_as_well(self, app: Project) -> None:
        assert app.call(bearer(KEY), "/anybody").body == ACCOUNT
        answered = app.call([], "/anybody")
        assert answered.status == 401
        assert challenges(answered) == [
            f'Bearer realm="{AUDIENCE}", {POINTER}', f'ApiKey realm="{AUDIENCE}", header="X-API-Key"',
        ]  # fmt: skip

    def test_the_caller_is_the_user_of_the_request(self, verifier: Verifier) -> None:
        guard = RestGuard(verifier)

        class Me(APIView):
            authentication_classes: ClassVar[list[type[BaseAuthentication]]] = [guard.authentication]

            def get(self, request: Request) -> Response:
                assert isinstance(request.auth, Verified)
                return Response([request.user.pk, request.user.is_authenticated, request.user.is_anonymous])

        assert Project("me", path("me", Me.as_view())).call(bearer(KEY), "/me").body == ["acme", True, False]


def test_the_metadata_have_a_view(guard: Guard) -> None:
    assert Project("metadata", path(guard.metadata_path[1:], guard.metadata)).call([], METADATA_PATH).body == METADATA


@pytest.mark.parametrize("heading", ["Django", "Django REST framework"])
def test_the_readme_is_right(readme: Callable[..., Any], heading: str) -> None:
    project = Project("readme", *readme(heading)["urlpatterns"])
    assert project.call(bearer(KEY)).body == ACCOUNT
    assert project.call([]).status == 401
