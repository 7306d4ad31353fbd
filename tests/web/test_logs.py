"""The server's own log: whatever is logged by whom, no secret is in it."""

import subprocess
import sys

from tests.protocol.given import a_secret, an_access_token

LOGGING = """
import logging, sys
from doorward.web import logs

logs.configure()
secret, token = sys.argv[1:]
logging.getLogger("library").error("refused %s", secret, extra={"header": token})
try:
    raise ValueError(f"bad {secret}")
except ValueError:
    logging.getLogger("doorward").exception("failed with %s", {"key": secret})
"""


def test_secrets_and_tokens_are_masked():
    secret, (token, _) = a_secret(), an_access_token()
    argv = [sys.executable, "-c", LOGGING, secret, token]
    said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stderr
    assert said.count('"level": "error"') == 2
    assert said.count("[redacted]") == 2
    assert secret[-38:] not in said
    assert token.rpartition(".")[2] not in said
