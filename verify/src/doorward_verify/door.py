"""What every shell does with a request: one credential, one check, what the route needs; or the answer instead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from doorward_verify import challenge, credential, protected_resource
from doorward_verify.challenge import Answer
from doorward_verify.errors import CredentialMissing, DoorwardError, Misconfigured
from doorward_verify.needs import Needs
from doorward_verify.verified import Verified
from doorward_verify.verifier import Verifier

Headers = Iterable[tuple[bytes, bytes]]


class Door:
    """What every Guard is, whatever its framework. With `resource_metadata`, the document that
    protected_resource.resource_metadata makes, every challenge points to it.
    """

    def __init__(self, verifier: Verifier, resource_metadata: Mapping[str, Any] | None = None) -> None:
        self.verifier = verifier
        self.resource_metadata = resource_metadata
        resource = None if resource_metadata is None else resource_metadata["resource"]
        self._metadata_url = None if resource is None else protected_resource.metadata_url(resource)

    def check(self, headers: Headers, needs: Needs, address: str | None = None) -> Verified | Answer | None:
        """None where a credential is optional and none was shown. May wait for the server."""
        try:
            text, agent = credential.from_headers(headers), credential.user_agent(headers)
            return self._admit(self.verifier.check(text, address, needs.cost, agent), needs)
        except DoorwardError as error:
            return self._refuse(error, needs)

    async def acheck(self, headers: Headers, needs: Needs, address: str | None = None) -> Verified | Answer | None:
        try:
            text, agent = credential.from_headers(headers), credential.user_agent(headers)
            return self._admit(await self.verifier.acheck(text, address, needs.cost, agent), needs)
        except DoorwardError as error:
            return self._refuse(error, needs)

    @property
    def metadata_path(self) -> str:
        return protected_resource.metadata_path(self._published()["resource"])

    @property
    def metadata_answer(self) -> Answer:
        return protected_resource.answer(self._published())

    def _published(self) -> Mapping[str, Any]:
        if self.resource_metadata is None:
            raise Misconfigured("no resource_metadata was given to this guard")
        return self.resource_metadata

    def _admit(self, caller: Verified, needs: Needs) -> Verified:
        needs.check(caller, self.verifier._clock())
        return caller

    def _refuse(self, error: DoorwardError, needs: Needs) -> Answer | None:
        if needs.optional and isinstance(error, CredentialMissing):
            return None
        return challenge.completed(self.verifier.answer(error), needs.scope, self._metadata_url)
