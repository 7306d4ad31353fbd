"""The OpenID Foundation's certification, Config OP: one test for each module of the plan, by its name."""

from __future__ import annotations

import re
import sys
from urllib.parse import urlsplit

from joserfc.jwk import KeySet
from tests.spec import test_oidf_basic_op as basic

PLAN = "oidcc-config-certification-test-plan"
PRIVATE = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
TEXT = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 §3.3
LOCALE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")  # RFC 5646, but for what nobody has


def test_no_module_is_forgotten():
    assert {name for name in dir(sys.modules[__name__]) if name.startswith("test_oidcc_")} == basic.modules(PLAN)


def test_oidcc_discovery_endpoint_verification(doorward):
    reply = doorward.http.get("/.well-known/openid-configuration")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "application/json")
    metadata = reply.json()
    assert metadata["issuer"] == doorward.issuer
    assert re.fullmatch(r"https://[^/?#]+", metadata["issuer"])
    for name, url in metadata.items():
        if name.endswith(("_endpoint", "_uri")):
            assert url.startswith("https://"), name
    assert {"authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"} <= metadata.keys()
    for name, value in metadata.items():
        if name.endswith("_supported") and not isinstance(value, bool):
            assert isinstance(value, list), name
            assert value, name
            assert all(isinstance(one, str) for one in value), name
            assert len(set(value)) == len(value), name
    assert "code" in metadata["response_types_supported"]
    assert "authorization_code" in metadata["grant_types_supported"]
    assert "RS256" in metadata["id_token_signing_alg_values_supported"]
    assert set(metadata["subject_types_supported"]) <= {"public", "pairwise"}
    assert "openid" in metadata["scopes_supported"]
    assert all(TEXT.fullmatch(scope) for scope in metadata["scopes_supported"])
    assert all(LOCALE.fullmatch(locale) for locale in metadata.get("ui_locales_supported", []))
    assert metadata["code_challenge_methods_supported"] == ["S256"]
    assert metadata["claims_parameter_supported"] is True
    is_usable(doorward.http.get(urlsplit(metadata["jwks_uri"]).path).json())


def is_usable(document):
    keys = document["keys"]
    assert len(KeySet.import_key_set(document).keys) == len(keys)
    assert len({key["kid"] for key in keys}) == len(keys)
    assert {"RSA", "EC"} == {key["kty"] for key in keys}
    for key in keys:
        assert not PRIVATE & key.keys()
        assert (key["use"], key["alg"]) in {("sig", "RS256"), ("sig", "ES256")}
