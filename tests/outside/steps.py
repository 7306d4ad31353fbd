"""A client that a test leads: one step a line on standard input, its outcome a line on standard output.

{"step": "begin", "with": {...}}   ->   {"done": ...} or {"refused": "access_denied", "said": "..."}
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import requests


def refused(fault: Exception) -> str:
    """The error code of the server, by whichever name the library has for it."""
    if isinstance(fault, requests.HTTPError):
        return str(fault.response.json()["error"])
    return str(getattr(fault, "error", None) or type(fault).__name__)


def follow(steps: Mapping[str, Callable[..., Any]]) -> None:
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            outcome = {"done": steps[asked["step"]](**asked["with"])}
        except Exception as fault:
            outcome = {"refused": refused(fault), "said": traceback.format_exc()}
        print(json.dumps(outcome), flush=True)
