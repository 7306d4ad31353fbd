"""The language of a page: English in the templates, others by catalogs/<language>.json, chosen by the reader.

GET /login?ui_locales=de-AT%20en          (OpenID Connect Core §3.1.2.1), else Accept-Language (RFC 9110 §12.5.4)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from doorward.protocol.refusal import Refusal
from doorward.web.incoming import Incoming

# In their own words, as the reader looks for them.
NAMES = {"en": "English", "de": "Deutsch"}
LIMIT = 10


@dataclass(frozen=True, slots=True)
class Speech:
    """Called with an English text, says it in its language; `%(name)s` is filled in and escaped by the template."""

    code: str
    catalog: Mapping[str, str] = field(default_factory=dict, repr=False)

    def __call__(self, text: str, **values: Any) -> str:
        said = self.catalog.get(text, text)
        return said % values if values else said


@cache
def speech(code: str) -> Speech:
    if code == "en":
        return Speech(code)
    catalog = (files("doorward.web") / "catalogs" / f"{code}.json").read_text("utf-8")
    return Speech(code, json.loads(catalog))


def of(incoming: Incoming) -> Speech:
    """The first language asked for that there is; English for everybody else."""
    wanted = (*_asked_for(incoming), *_accepted(b",".join(incoming.all(b"accept-language")).decode("latin-1")))
    return speech(next((code for tag in wanted if (code := _primary(tag)) in NAMES), "en"))


def _asked_for(incoming: Incoming) -> list[str]:
    try:
        return (incoming.query().get("ui_locales") or "").split()[:LIMIT]
    except Refusal:
        return []


def _primary(tag: str) -> str:
    return tag.strip().partition("-")[0].lower()


def _accepted(header: str) -> Iterator[str]:
    """By quality, those of the same in their order; what cannot be read is passed over."""
    ranked: list[tuple[float, str]] = []
    for part in header.split(",")[:LIMIT]:
        tag, _, quality = part.partition(";")
        try:
            ranked.append((float(quality.strip().removeprefix("q=") or 1), tag))
        except ValueError:
            continue
    return (tag for quality, tag in sorted(ranked, key=lambda one: -one[0]) if quality > 0)
