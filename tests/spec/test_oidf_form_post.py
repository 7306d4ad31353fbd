"""The OpenID Foundation's certification, Form Post Basic OP: every module of Basic OP, answered by a form.

OAuth 2.0 Form Post Response Mode §2: the browser posts the answer, so that it stands in no address.
"""

from __future__ import annotations

from tests.browsing import CALLBACK, address_of, asking
from tests.spec import test_oidf_basic_op as basic
from tests.vectors import outside_json

from doorward.protocol.authorization import RESPONSE_MODES

PLAN = "oidcc-formpost-basic-certification-test-plan"
ada, anew, client, here, second_client = basic.ada, basic.anew, basic.client, basic.here, basic.second_client


def test_no_module_is_forgotten():
    """The plan takes its modules from Basic OP, where it names none itself."""
    named = outside_json("oidf/modules.json")["plans"][PLAN]["modules"]
    assert basic.named_in(TestFormPost) == basic.modules(PLAN if named else basic.PLAN)


class TestFormPost(basic.TestBasicOP):
    mode = "form_post"

    def test_the_form_is_posted_to_the_client_alone_and_by_itself(self, here, client):
        assert self.mode in RESPONSE_MODES
        assert self.authorize(here, client).code
        reply = here.get(address_of(asking(client, scope="openid", response_mode=self.mode)))
        assert reply.status_code == 200
        assert "form-action https://client.example" in reply.headers["content-security-policy"]
        assert f'<form method="post" action="{CALLBACK}">' in reply.text
        assert '<script src="/static/form_post.js" defer></script>' in reply.text
        assert "location" not in reply.headers
