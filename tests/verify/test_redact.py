"""No secret of the format and no JWT is left in what is logged, however it came there."""

from __future__ import annotations

import io
import logging
import time
import traceback
from typing import Any

import pytest
import structlog
from tests.protocol.given import a_secret, an_access_token

from doorward_verify.api_key import parse
from doorward_verify.redact import RedactingFilter, redact, redact_event, redacted

KINDS = ("", "a", "s", "r", "o", "g")
TOKEN, _ = an_access_token()


@pytest.mark.parametrize("text", ["-eyAaaaaaaa", "eyJ.", "a.eyJ-", "_live_", "basic  ", "eyJhbGciOiJ", "a"])
def test_what_strangers_write_into_a_log_takes_no_longer_than_it_is_long(text: str) -> None:
    """A megabyte would take minutes where each hyphen is a beginning that is looked at to the end."""
    began = time.monotonic()
    redact(text * (1_000_000 // len(text)))
    assert time.monotonic() - began < 20


def test_a_jwt_is_masked_wherever_it_begins_and_what_is_none_is_left() -> None:
    for before in ("", "token=", "x-", "a.b.", "verylongsegment.", "/"):
        assert redact(f"{before}{TOKEN} more") == f"{before}[jwt redacted] more"
    for text in ("www.example.com", "eyJhbGciOi", "eyJ.eyJ.x", "keyAbcdefghijk.py", "a.b.c", "1.2.3"):
        assert redact(text) == text


class Holder:
    def __init__(self, secret: str) -> None:
        self.secret = secret

    def __repr__(self) -> str:
        return f"Holder({self.secret})"


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError


def gone(secret: str, text: str) -> bool:
    """Neither the secret part nor the half of it that would be guessed from."""
    return secret[-38:] not in text and secret[-38:-18] not in text


@pytest.fixture
def log() -> tuple[logging.Logger, io.StringIO]:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(message)s"))
    handler.addFilter(RedactingFilter())
    logger = logging.Logger("app")
    logger.addHandler(handler)
    return logger, written


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "place",
    ["{}", 'key="{}"', "https://api.example.com/?api_key={}&page=1", "Authorization: Bearer {}\r\n", "x{}y", "{}{}",
     "secret-token:{}", "['{}', 'dw_live']"],
)  # fmt: skip
def test_a_secret_of_every_kind_is_masked_in_every_place(kind: str, place: str) -> None:
    secret = a_secret(kind)
    clean = redact(place.format(secret, secret))
    assert gone(secret, clean)
    assert f"dw{kind}_live_{parse(secret).id}[redacted]" in clean


def test_a_secret_of_another_brand_is_masked_too() -> None:
    assert redact("acme_test_" + "a" * 12 + "b" * 38) == "acme_test_" + "a" * 12 + "[redacted]"


def test_a_secret_that_was_cut_off_is_masked_too() -> None:
    assert gone(a_secret()[:-10], redact(a_secret()[:-10]))


@pytest.mark.parametrize("text", [TOKEN, TOKEN.rpartition(".")[0], f"Bearer {TOKEN}", f"{TOKEN}.{TOKEN}"])
def test_a_jwt_is_masked(text: str) -> None:
    clean = redact(text)
    assert not any(part in clean for part in TOKEN.split("."))


def test_the_secret_in_basic_credentials_is_masked() -> None:
    import base64

    encoded = base64.b64encode(f"client_1:{a_secret('s')}".encode()).decode()
    assert redact(f"authorization: Basic {encoded}, next") == "authorization: Basic [redacted], next"


@pytest.mark.parametrize(
    "text",
    ["", "dw_live_8sK2vQ0pXw4m", "key_8sK2vQ0pXw4mTn1Z", "GET /v1/keys 200", "my_test_function_name",
     "eyebrows.plucked.daily", "basic training", "version 1.2.3", "a.b.c"],
)  # fmt: skip
def test_other_text_stays_what_it_is(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("wrap", [lambda s: {"a": [s]}, lambda s: {s: 1}, lambda s: (s,), lambda s: {s}, Holder,
                                  lambda s: s.encode(), lambda s: {"a": {"b": ({"c": Holder(s)},)}}])  # fmt: skip
def test_values_are_masked_wherever_they_hold_a_secret(wrap: Any) -> None:
    assert gone(a_secret(), repr(redacted(wrap(a_secret()))))


def test_a_value_that_holds_nothing_is_the_same_object() -> None:
    value = Holder("nothing")
    assert redacted(value) is value


def test_the_filter_masks_message_arguments_and_extra(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    logger.handlers[0].setFormatter(logging.Formatter("%(message)s %(key)s"))
    logger.error(f"refused {a_secret()}", extra={"key": a_secret()})
    logger.error("refused %s of %s", a_secret(), Holder(a_secret()), extra={"key": [a_secret()]})
    logger.error("refused %(who)s", {"who": a_secret()}, extra={"key": None})
    assert written.getvalue().count("[redacted]") == 6
    assert gone(a_secret(), written.getvalue())


def test_the_filter_masks_exceptions_and_what_caused_them(log: tuple[logging.Logger, io.StringIO]) -> None:
    logger, written = log
    try:
        try:
            raise ValueError(a_secret())
        except ValueError as cause:
            raise RuntimeError(f"with {TOKEN}") from cause
    except RuntimeError:
        logger.exception("failed", stack_info=True)
    assert gone(a_secret(), written.getvalue())
    assert TOKEN not in written.getvalue()
    assert "RuntimeError: with [jwt redacted]" in written.getvalue()


def test_arguments_that_do_not_fit_tell_nothing_either(
    log: tuple[logging.Logger, io.StringIO], capsys: pytest.CaptureFixture[str]
) -> None:
    logger, written = log
    logger.error("refused %d", a_secret())
    logger.error("refused %s", Unspeakable())
    assert gone(a_secret(), written.getvalue() + capsys.readouterr().err)


def test_a_record_without_secrets_keeps_template_arguments_and_exception() -> None:
    kind = ValueError("plain")
    exc_info = (ValueError, kind, None)
    record = logging.LogRecord("app", logging.ERROR, "a.py", 1, "refused %s", ("key_1",), exc_info)
    assert RedactingFilter().filter(record)
    assert (record.msg, record.args, record.exc_info) == ("refused %s", ("key_1",), exc_info)


@pytest.mark.parametrize("formats_first", [True, False])
@pytest.mark.parametrize("exc_info", [True, "exception", "tuple"])
def test_the_processor_masks_events_of_structlog(formats_first: bool, exc_info: Any) -> None:
    formatter = structlog.processors.format_exc_info
    chain: list[Any] = [formatter, redact_event] if formats_first else [redact_event, formatter]
    try:
        raise ValueError(a_secret())
    except ValueError as raised:
        given = {"exception": raised, "tuple": (ValueError, raised, raised.__traceback__)}.get(exc_info, exc_info)
        event: Any = {"event": f"refused {a_secret()}", "headers": {"x-api-key": a_secret()}, "exc_info": given}
        for processor in chain:
            event = processor(None, "error", event)
        said = structlog.processors.JSONRenderer()(None, "error", event)
    assert gone(a_secret(), str(said))
    assert "ValueError" in str(said)


def test_an_exception_without_a_secret_is_left_to_the_others() -> None:
    plain = ValueError("plain")
    assert redact_event(None, "error", {"exc_info": plain})["exc_info"] is plain
    assert "plain" in "".join(traceback.format_exception(plain))
