"""Guard for Django REST framework: an authentication class, and a permission for each scope.

class Invoices(APIView):
    authentication_classes = [guard.authentication]     request.auth is what was proved
    permission_classes = [guard.permission("invoices:read")]
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Unpack

from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import APIException
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from doorward_verify import django, django_request
from doorward_verify.challenge import Answer
from doorward_verify.needs import Needs, Wanted
from doorward_verify.verified import Verified


class Refused(APIException):  # type: ignore[misc]
    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.body)
        headers = django.joined(answer)
        self.status_code = answer.status
        self.auth_header = headers.get("www-authenticate")
        self.wait = int(headers.get("retry-after", "0"))


@dataclass(frozen=True)
class Caller:
    """`request.user`: as much of a user as permissions and throttles ask for."""

    verified: Verified
    is_authenticated: ClassVar[bool] = True
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False
    is_staff: ClassVar[bool] = False

    @property
    def pk(self) -> str | None:
        return self.verified.subject


class Guard(django.Guard):
    @cached_property
    def authentication(self) -> type[BaseAuthentication]:
        guard = self

        class Authentication(BaseAuthentication):  # type: ignore[misc]
            def authenticate(self, request: Request) -> tuple[Caller, Verified] | None:
                django_request.unkept(request, getattr(request.parser_context.get("view"), "headers", {}))
                found = guard.check(*django_request.sent(guard, request._request, Needs(optional=True)))
                if isinstance(found, Answer):
                    raise Refused(found)
                return None if found is None else (Caller(found), found)

            def authenticate_header(self, _: Request) -> str:
                refusal = guard.check((), Needs())
                assert isinstance(refusal, Answer)
                return django.joined(refusal)["www-authenticate"]

        return Authentication

    def permission(self, *scope: str, **wanted: Unpack[Wanted]) -> type[BasePermission]:
        guard, needs = self, Needs.of(*scope, **wanted)

        class Permission(BasePermission):  # type: ignore[misc]
            def has_permission(self, request: Request, _: Any) -> bool:
                found = guard.check(*django_request.sent(guard, request._request, needs))
                if isinstance(found, Answer):
                    raise Refused(found)
                return True

        return Permission
