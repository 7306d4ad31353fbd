"""What was held since a restore becomes what it was."""

from __future__ import annotations

from tests.protocol.given import NOW, a_client, a_user, a_verifier, an_admin_key, an_api_key

from doorward.protocol.moment import Moment
from doorward.protocol.resume import resume

MOMENT = Moment(NOW, bytes)


def test_each_kind_is_active_again_by_an_event_of_its_own() -> None:
    held = (
        an_api_key(state="held"), a_client(state="held").client, a_verifier(state="held").verifier,
        a_user(state="held"), an_admin_key(state="held").admin_key,
    )  # fmt: skip
    events = resume(held, MOMENT).events
    names = ["ApiKeyUpdated", "ClientUpdated", "VerifierResumed", "UserUpdated", "AdminKeyResumed"]
    assert [type(event).__name__ for event in events] == names
    resumed = [getattr(event, name) for event, name in zip(events, ATTRIBUTES, strict=True)]
    assert {one.state for one in resumed} == {"active"}
    assert [one.version - before.version for one, before in zip(resumed, held, strict=True)] == [1] * 5


ATTRIBUTES = ("api_key", "client", "verifier", "user", "admin_key")
