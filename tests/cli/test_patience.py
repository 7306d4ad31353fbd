"""What may be done twice is asked again, until somebody answers."""

import httpx2
import pytest

from doorward.cli.patience import ATTEMPTS, patiently

NOW = {"retry-after": "0"}


@pytest.fixture
def asking():
    """The status in the end, and how often it was asked for."""

    def asking(*answers):
        waiting = list(answers)

        def answer(request):
            found = waiting.pop(0)
            if isinstance(found, Exception):
                raise found
            return found

        with httpx2.Client(transport=httpx2.MockTransport(answer), base_url="https://auth.example.com") as http:
            status = patiently(lambda: http.post("/leaks/burn")).status_code
        return status, len(answers) - len(waiting)

    return asking


@pytest.mark.parametrize("away", [httpx2.Response(502, headers=NOW), httpx2.ReadError("cut", request=None)])
def test_who_is_away_for_a_moment_is_asked_again(asking, away):
    assert asking(away, httpx2.Response(202)) == (202, 2)


def test_what_is_refused_is_refused(asking):
    assert asking(httpx2.Response(429, headers=NOW), httpx2.Response(202)) == (429, 1)


def test_who_stays_away_has_the_last_word(asking):
    assert asking(*[httpx2.Response(503, headers=NOW)] * (ATTEMPTS + 1)) == (503, ATTEMPTS)


def test_where_nobody_listens_nobody_is_waited_for(asking):
    with pytest.raises(httpx2.ConnectError):
        asking(httpx2.ConnectError("refused"), httpx2.Response(202))
