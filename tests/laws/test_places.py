"""One place for each dangerous thing: SQL, private keys, HTTP in, HTTP out. (Layers are import-linter's.)"""

from __future__ import annotations

import ast
import sys

import pytest
from tests.laws.modules import Module, modules

SERVER = "server/src/doorward"
VERIFIER = "verify/src/doorward_verify"

DATABASES = {"sqlite3", "psycopg", "alembic"}
# What a room above the store may name: a connection that it hands on, a table that it points to.
SQL_TYPES = {"Connection", "Table"}

PRIVATE_KEYS = {
    "generate_private_key", "load_pem_private_key", "load_der_private_key", "load_ssh_private_key",
    "private_bytes", "private_numbers", "private_key",
}  # fmt: skip
KEEPERS = ("sign.py", "local_ca.py")

HTTP_IN = {"fastapi", "starlette", "uvicorn", "httptools", "h11"}
HTTP_OUT = {"httpcore2", "httpx2", "urllib.request", "http.client", "requests"}


def _top(module: str) -> str:
    return module.partition(".")[0]


def sql_outside_the_store(found: list[Module]) -> list[str]:
    return [
        f"{module.path}: {name or source}"
        for module in found
        if not module.is_in("store/")
        for source, name in module.imports()
        if _top(source) in DATABASES
        or (_top(source) == "sqlalchemy" and (source != "sqlalchemy" or name not in SQL_TYPES))
    ]


def private_keys_elsewhere(found: list[Module]) -> list[str]:
    return [
        f"{module.path}:{node.lineno} {name}"
        for module in found
        if not module.is_in(*KEEPERS)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute | ast.Name)
        and isinstance(node.ctx, ast.Load)
        and (name := node.attr if isinstance(node, ast.Attribute) else node.id) in PRIVATE_KEYS
    ]


def imported_elsewhere(found: list[Module], names: set[str], *places: str) -> list[str]:
    return [
        f"{module.path}: {source}"
        for module in found
        if not module.is_in(*places)
        for source, name in module.imports()
        if {source, _top(source), f"{source}.{name}"} & names
    ]


def foreign_imports(found: list[Module]) -> list[str]:
    """What the verifier needs beside Python and `cryptography`, its one hard dependency."""
    own = {"cryptography", "doorward_verify", *sys.stdlib_module_names}
    return [f"{m.path}: {source}" for m in found for source, _ in m.imports() if _top(source) not in own]


def test_the_store_is_the_only_sql() -> None:
    assert sql_outside_the_store(modules(SERVER)) == []


def test_private_keys_are_touched_by_the_signer_and_the_local_ca_alone() -> None:
    assert private_keys_elsewhere(modules(SERVER)) == []


def test_http_comes_in_through_web_alone() -> None:
    assert imported_elsewhere(modules(SERVER), HTTP_IN, "web/") == []


def test_http_goes_out_through_fetch_and_the_command_line_alone() -> None:
    assert imported_elsewhere(modules(SERVER), HTTP_OUT, "fetch.py", "cli/") == []


def test_the_verifier_depends_on_cryptography_alone() -> None:
    shells = (
        "asgi.py", "client.py", "fastapi.py", "fastapi_routes.py", "flask.py", "django.py", "fastmcp.py", "litestar.py",
        "django_request.py", "mcp.py",
        "rest_framework.py", "starlette.py", "testing/",
    )  # fmt: skip
    assert foreign_imports([module for module in modules(VERIFIER) if not module.is_in(*shells)]) == []


@pytest.mark.parametrize(
    "text",
    [
        "from sqlalchemy import Connection, select",
        "import sqlalchemy",
        "import sqlalchemy as sa",
        "from sqlalchemy.dialects import postgresql",
        "import sqlite3",
        "def read():\n    from psycopg import connect",
    ],
)
def test_sql_outside_the_store_is_found(text: str) -> None:
    assert len(sql_outside_the_store([Module(f"{SERVER}/web/pages.py", text)])) == 1
    assert sql_outside_the_store([Module(f"{SERVER}/store/pages.py", text)]) == []


def test_a_connection_may_be_handed_on() -> None:
    handed_on = Module(f"{SERVER}/exchange.py", "from sqlalchemy import Connection")
    assert sql_outside_the_store([handed_on]) == []


@pytest.mark.parametrize(
    "text",
    [
        "ec.generate_private_key(ec.SECP256R1())",
        "load_pem_private_key(pem, None)",
        "use(signing_key.private_key)",
        "key.private_bytes(encoding, form, encryption)",
    ],
)
def test_a_private_key_elsewhere_is_found(text: str) -> None:
    assert len(private_keys_elsewhere([Module(f"{SERVER}/web/tls.py", text)])) == 1
    assert private_keys_elsewhere([Module(f"{SERVER}/sign.py", text)]) == []


def test_a_field_for_a_sealed_key_is_no_touch() -> None:
    declared = "class SigningKey:\n    private_key: bytes = b''"
    assert private_keys_elsewhere([Module(f"{SERVER}/protocol/entities.py", declared)]) == []


@pytest.mark.parametrize("text", ["import starlette", "from starlette.routing import Route", "import uvicorn.config"])
def test_http_in_elsewhere_is_found(text: str) -> None:
    assert len(imported_elsewhere([Module(f"{SERVER}/cli/serve.py", text)], HTTP_IN, "web/")) == 1
    assert imported_elsewhere([Module(f"{SERVER}/web/issuing.py", text)], HTTP_IN, "web/") == []


@pytest.mark.parametrize("text", ["import httpx2", "from urllib import request", "import urllib.request"])
def test_http_out_elsewhere_is_found(text: str) -> None:
    assert len(imported_elsewhere([Module(f"{SERVER}/web/admin.py", text)], HTTP_OUT, "fetch.py")) == 1
    assert imported_elsewhere([Module(f"{SERVER}/fetch.py", text)], HTTP_OUT, "fetch.py") == []


def test_a_foreign_import_of_the_verifier_is_found() -> None:
    text = "import json\nfrom cryptography import x509\nimport pydantic\n"
    assert foreign_imports([Module("a.py", text)]) == ["a.py: pydantic"]
