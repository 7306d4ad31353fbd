"""A Django project without files: settings, and requests to whatever views a test has."""

from __future__ import annotations

import asyncio
import json
from types import ModuleType
from typing import Any

import django
from django.conf import settings
from django.test import AsyncClient, Client, override_settings
from tests.verify.asgi_calls import Answered, Headers

settings.configure(
    ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
    LOGGING_CONFIG=None,
    SECRET_KEY="of no use",
    REST_FRAMEWORK={"DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"]},
    USE_TZ=True,
)
django.setup()


class Project:
    """`doors` is a module that settings can name, for the middleware that a test makes."""

    def __init__(self, name: str, *urlpatterns: Any, middleware: tuple[str, ...] = ()) -> None:
        self._settings = {"ROOT_URLCONF": ModuleType(name), "MIDDLEWARE": list(middleware)}
        self._settings["ROOT_URLCONF"].urlpatterns = list(urlpatterns)  # type: ignore[attr-defined]

    def call(self, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        with override_settings(**self._settings):
            return _answered(Client().generic(method, path, headers=_joined(headers)))

    def call_async(self, headers: Headers, path: str = "/invoices", method: str = "GET") -> Answered:
        with override_settings(**self._settings):
            return _answered(asyncio.run(AsyncClient().generic(method, path, headers=_joined(headers))))


def _joined(headers: Headers) -> dict[str, str]:
    """As a WSGI server does it, and Django over ASGI."""
    fields: dict[str, str] = {}
    for name, value in headers:
        text = value.decode("latin-1")
        fields[name.decode()] = f"{fields[name.decode()]},{text}" if name.decode() in fields else text
    return fields


def _answered(response: Any) -> Answered:
    raw = [(name.encode(), value.encode()) for name, value in response.items()]
    return Answered(response.status_code, raw, json.loads(response.content))
