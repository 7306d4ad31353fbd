"""What every shell does with a request: one credential, one check, what the route needs; or the answer instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from doorward_verify import challenge, credential, protected_resource
from doorward_verify.challenge import Answer
from doorward_verify.errors import CredentialMissing, DoorwardError
from doorward_verify.needs import Needs
from doorward_verify.verified import Verified
from doorward_verify.verifier import Headers, Request, Verifier


class Door:
    """What every Guard is, whatever its framework. With `resource_metadata`, the document that
    protected_resource.resource_metadata makes, every challenge points to it. With `body`, a key may be a member
    `api_key` of the body too, if the api allows that: of a form or JSON object of at most 64 KiB. With `behind`, the
    name that a gateway's routes have for this service, it takes the gateway's assertions, and no other credential.
    """

    def __init__(
        self, verifier: Verifier, resource_metadata: Mapping[str, Any] | None = None, *, body: bool = False,
        behind: str | None = None,
    ) -> None:  # fmt: skip
        self.verifier, self.reads_body = verifier, body
        self._behind = None if behind is None else verifier.behind(behind)
        self.resource_metadata = resource_metadata
        resource = None if resource_metadata is None else resource_metadata["resource"]
        self._metadata_url = None if resource is None else protected_resource.metadata_url(resource)

    def check(
        self, headers: Headers, needs: Needs, address: str | None = None, query: bytes = b"",
        in_body: Sequence[str] = (), request: Request | None = None,
    ) -> Verified | Answer | None:  # fmt: skip
        """None where a credential is optional and none was shown. May wait for the server.

        `request` is the ASGI scope or the WSGI environment, which tells what a gateway's assertion must be about.
        """
        try:
            if self._behind is not None:
                return self._admit(self.verifier.check_asserted(self._behind, headers, request), needs)
            text, arrival, agent = credential.sent(headers, query, in_body)
            return self._admit(self.verifier.check(text, address, needs.cost, agent, arrival=arrival), needs)
        except DoorwardError as error:
            return self._refuse(error, needs, query)

    async def acheck(
        self, headers: Headers, needs: Needs, address: str | None = None, query: bytes = b"",
        in_body: Sequence[str] = (), request: Request | None = None,
    ) -> Verified | Answer | None:  # fmt: skip
        try:
            if self._behind is not None:
                return self._admit(await self.verifier.acheck_asserted(self._behind, headers, request), needs)
            text, arrival, agent = credential.sent(headers, query, in_body)
            return self._admit(await self.verifier.acheck(text, address, needs.cost, agent, arrival=arrival), needs)
        except DoorwardError as error:
            return self._refuse(error, needs, query)

    @property
    def metadata_path(self) -> str:
        return protected_resource.metadata_path(protected_resource.published(self.resource_metadata)["resource"])

    @property
    def metadata_answer(self) -> Answer:
        return protected_resource.answer(protected_resource.published(self.resource_metadata))

    def _admit(self, caller: Verified, needs: Needs) -> Verified:
        needs.check(caller, 0.0 if needs.max_age is None else self.verifier._clock())
        return caller

    def _refuse(self, error: DoorwardError, needs: Needs, query: bytes) -> Answer | None:
        if needs.optional and isinstance(error, CredentialMissing):
            return None
        answer = challenge.completed(self.verifier.answer(error), needs.scope, self._metadata_url)
        more = (("referrer-policy", "no-referrer"),) if credential.in_query(query) else ()
        return replace(answer, headers=(*answer.headers, *more))
