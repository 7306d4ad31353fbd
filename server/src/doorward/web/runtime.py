"""What one process needs to answer: the store, the signer, and the keys for its own small seals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from doorward.protocol.policy import Policy
from doorward.protocol.secret import Pepper
from doorward.settings import Settings
from doorward.sign import Signer, derive
from doorward.store.store import Store
from doorward.web.fan_out import FanOut
from doorward.web.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Runtime:
    """Made once a process; `node` is this process's number in request ids, from 1."""

    store: Store
    signer: Signer
    policy: Policy
    metrics: Metrics
    fan_out: FanOut
    node: int
    request_id_key: bytes = field(repr=False)
    cursor_key: bytes = field(repr=False)
    reply_key: bytes = field(repr=False)


def policy(settings: Settings, peppers: Mapping[int, bytes], pepper_version: int) -> Policy:
    return Policy(issuer=settings.issuer, pepper=Pepper(peppers, pepper_version), brand=settings.brand)


def runtime(store: Store, signer: Signer, metrics: Metrics, master_key: bytes, node: int) -> Runtime:
    keys = (derive(master_key, purpose) for purpose in ("request ids", "cursors", "idempotent replies"))
    return Runtime(store, signer, store.policy, metrics, FanOut(store, signer, metrics), node, *keys)
