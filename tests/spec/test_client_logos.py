"""A client's logo on the consent page: ours to show, wherever it lies (T134), and no way to call inwards (T133)."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from tests.browsing import a_user, address_of, an_app, asking, consent_page, signed_in


@pytest.fixture
def logo(receiver):
    """It serves one image, and counts who asks."""
    out, asked = io.BytesIO(), []
    Image.new("RGB", (64, 64), (200, 30, 30)).save(out, "PNG")

    def answer(handler):
        asked.append(handler.path)
        handler.send_response(200)
        handler.send_header("content-type", "image/png")
        handler.send_header("content-length", str(len(out.getvalue())))
        handler.end_headers()
        handler.wfile.write(out.getvalue())

    receiver.answer = answer
    yield asked
    receiver.answer = None


def shown(browser, client):
    page = consent_page(browser, browser.get(address_of(asking(client))))
    return f'src="/consent/logo/{client["client_id"]}"' in page.text


def test_it_is_fetched_by_us_and_drawn_anew(calling, receiver, logo):
    client = an_app(calling, logo_uri=receiver.url("/logo.png"))
    assert shown(signed_in(calling, a_user(calling)), client)
    for _ in range(3):
        reply = calling.http.get(f"/consent/logo/{client['client_id']}")
        assert (reply.status_code, reply.headers["content-type"]) == (200, "image/png")
        assert reply.headers["content-security-policy"] == "default-src 'none'"
        assert reply.headers["x-content-type-options"] == "nosniff"
        with Image.open(io.BytesIO(reply.content)) as drawn:
            assert drawn.getpixel((32, 32)) == (200, 30, 30, 255)
    assert logo == ["/logo.png"]


def test_where_it_may_not_be_fetched_it_is_a_letter(doorward, browser, receiver, logo):
    client = an_app(doorward, name="Books", logo_uri=receiver.url("/logo.png"))
    assert shown(browser, client)
    reply = doorward.http.get(f"/consent/logo/{client['client_id']}")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/svg+xml")
    assert ">B</text>" in reply.text
    assert logo == []


def test_a_client_without_one_has_none(doorward, browser):
    client = an_app(doorward)
    assert not shown(browser, client)
    for unknown in (client["client_id"], "client_unknown", "..", "%00"):
        assert doorward.http.get(f"/consent/logo/{unknown}").status_code in (400, 404)
