"""django-oauth-toolkit as its tutorial sets it up; for gunicorn. As a program it makes the tables and the client.

DJANGO_BENCH says how: {"database": {...}, "fast": ..., "client": ..., "secret": ...}. Fast is: secrets hashed in one
round (they are random, more rounds protect nothing), connections that stay open, and no middleware that is not needed.
"""

from __future__ import annotations

import json
import os
import sys

import django
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

TOLD = json.loads(os.environ["DJANGO_BENCH"])
DEFAULT_MIDDLEWARE = (
    "django.middleware.security.SecurityMiddleware", "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware", "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
)  # fmt: skip


class OneRound(PBKDF2PasswordHasher):  # type: ignore[misc]
    algorithm = "pbkdf2_one_round"
    iterations = 1


if not settings.configured:
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": TOLD["database"]},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions", "django.contrib.messages",
            "oauth2_provider",
        ],
        MIDDLEWARE=() if TOLD["fast"] else DEFAULT_MIDDLEWARE,
        OAUTH2_PROVIDER={"SCOPES": {"invoices:read": "Read", "invoices:write": "Write", "introspection": "Introspect"}},
        PASSWORD_HASHERS=[
            *(["django_app.OneRound"] if TOLD["fast"] else []), "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        ],
        ROOT_URLCONF="django_app",
        SECRET_KEY=TOLD["secret"],
        USE_TZ=True,
    )  # fmt: skip
    django.setup()

urlpatterns = [path("o/", include("oauth2_provider.urls", namespace="oauth2_provider"))]
application = get_wsgi_application()


def prepare() -> None:
    from django.core.management import call_command
    from oauth2_provider.models import Application

    call_command("migrate", verbosity=0)
    Application.objects.create(
        client_id=TOLD["client"], client_secret=TOLD["secret"], client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS, name="worker",
    )  # fmt: skip


if __name__ == "__main__":
    # By its own name, as the settings name it.
    sys.modules["django_app"] = sys.modules["__main__"]
    prepare()
