"""The same worker with httpx2: ClientCredentials fetches the token, keeps it, and renews it.

set -a; . ./worker.env; set +a          # from: doorward clients create ... -o env
python worker_httpx2.py https://localhost:8000/invoices
"""

import os
import ssl
import sys

import httpx2

from doorward_verify.client import ClientCredentials, TokenRefused

# The system's authorities, or the server's own local CA where there is one.
TRUST = ssl.create_default_context(cafile=os.environ.get("DOORWARD_CA_FILE"))

url = sys.argv[1]
with httpx2.Client(auth=ClientCredentials(url), verify=TRUST) as api:
    try:
        reply = api.get(url)
    except TokenRefused as refused:
        sys.exit(str(refused))
print(reply.status_code, reply.text)
sys.exit(reply.is_error)
