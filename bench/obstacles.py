"""What stands in the way of a figure that falls short, by a part of its name.

`python bench/where.py` shows the share of each function; docs/explanation/performance.md tells more.
"""

from __future__ import annotations

OBSTACLES = {
    "issue a JWT, ES256": "a durable commit for each batch and the work of Python around 22 µs of signing",
    "/v1/keys/verify": "what a request costs in Python: reading the head, the facts, the JSON of question and answer",
    "/check/": "what a request costs in Python, most of it before the decision; HAProxy's own check is written in C",
    "nginx asks": "Doorward, the gateway and the service share one core, and the gateway asks for each request",
    "Caddy asks": "Doorward, the gateway and the service share one core, and the gateway asks for each request",
    "HAProxy asks": "Doorward, HAProxy and the service share one core, and HAProxy asks from Lua",
    "refresh": "Python's work around a signature, two digests with a pepper, a sealed successor and three rows",
    "authorization to tokens": "Python's work for two requests, two durable commits and seven rows, spread over all",
    "Guard adds": "FastAPI resolves a dependency for every request, which costs more than the check itself",
    "a JWT that is not known": "the signature's arithmetic in `cryptography`, which PyJWT pays too, bounds the ratio",
    "a JWT not seen before": "strict parsing and every claim's check beside the signature's arithmetic",
    "against a feed": "strict parsing and every claim's check beside the signature's arithmetic",
    "sign a JWT": "claims become JSON and base64url beside the signature's arithmetic",
    "latency that asking adds": "one more hop on loopback, and Doorward's own time, on the same core",
    "a JWT that is known": "the digest of the whole text, which makes that no other text can be taken for it",
    "check of": "the digest of the whole text, which makes that no other text can be taken for it",
    "memory": "the modules that are loaded: SQLAlchemy, FastAPI with pydantic, and cryptography",
    "start": "importing SQLAlchemy, FastAPI with pydantic, and cryptography",
    "first check": "a key that nobody asked for yet is read from the database by two indexes",
    "warm": "two servers of different size share one core, and their caches of the processor",
}
UNKNOWN = "not looked into yet"


def of(name: str) -> str:
    """The longest entry that fits."""
    fitting = [known for known in OBSTACLES if known in name]
    return OBSTACLES[max(fitting, key=len)] if fitting else UNKNOWN
