"""A token that nobody of ours signed is not looked for: it costs the database nothing and memory no room."""

import pytest

from doorward.protocol.credential import Presented
from doorward.store import tokens
from doorward.store.memory import Miss
from doorward_verify import jwt

HEADER = jwt.b64url_encode(b'{"typ":"at+jwt","alg":"ES256","kid":"signing_1"}')
CLAIMS = jwt.b64url_encode(b'{"jti":"a","grant_id":"grant_1"}')
FORGED = f"{HEADER}.{CLAIMS}.{jwt.b64url_encode(bytes(range(1, 65)))}"


class Nothing:
    """A reader that knows nothing, and may not be asked for more."""

    def knows(self, find, key):
        return False

    def __call__(self, find, key):
        raise Miss


def test_a_forged_token_is_looked_for_nowhere():
    from cryptography.hazmat.primitives.asymmetric import ec

    keys = {"signing_1": jwt.ES256(ec.generate_private_key(ec.SECP256R1()).public_key())}
    assert tokens.token(Nothing(), Presented("jwt", jwt=FORGED), keys) is None
    assert tokens.token(Nothing(), Presented("jwt", jwt=FORGED), {}) is None


def test_a_signed_token_is(monkeypatch):
    monkeypatch.setattr(jwt, "authenticate", lambda *_: None)
    with pytest.raises(Miss):
        tokens.token(Nothing(), Presented("jwt", jwt=FORGED), {})
