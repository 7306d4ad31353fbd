"""Why a credential is refused: the verifier's reasons, 1-99. A code never changes once it was given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """`error` is the code on the wire (RFC 6750 §3.1); None where nothing was presented."""

    code: int
    name: str
    status: int
    error: str | None
    sentence: str
    fix: str


REASONS = (
    Reason(1, "credential_missing", 401, None, "No credential was sent.",
           "Send `Authorization: Bearer ...` or `X-API-Key: ...`."),
    Reason(2, "several_credentials", 400, "invalid_request", "More than one credential was sent.",
           "Send one header with one credential: Authorization or X-API-Key."),
    Reason(3, "credential_malformed", 401, "invalid_token",
           "The text is no key or token of this deployment: wrong form, checksum or kind of secret.",
           "See `doorward inspect -` for what it is, and copy the whole credential again."),
    Reason(4, "credential_unknown", 401, "invalid_token", "The credential is unknown here, or has ended.",
           "Check that it was copied whole (`doorward inspect -`) and made for this api (`doorward keys list`)."),
    Reason(5, "credential_expired", 401, "invalid_token", "The credential has expired.",
           "Get a new access token, or create a new key with a later expiry."),
    Reason(6, "credential_revoked", 401, "invalid_token", "The credential was revoked.",
           "Get a new one; `doorward audit list` tells who revoked it and when."),
    Reason(7, "account_suspended", 401, "invalid_token", "The account of this credential is suspended.",
           "Resume it with `doorward accounts resume`; every credential of it works again at once."),
    Reason(8, "client_disabled", 401, "invalid_token", "The client of this token is disabled.",
           "Enable it with `doorward clients update`, or use another client."),
    Reason(9, "insufficient_scope", 403, "insufficient_scope", "The credential lacks a scope needed here.",
           "Create a key, or ask for a token, with the scope named in WWW-Authenticate."),
    Reason(10, "wrong_audience", 401, "invalid_token", "The token was issued for another api.",
           "Ask for a token with this api's identifier as `resource`."),
    Reason(11, "wrong_issuer", 401, "invalid_token", "The token was issued by another server.",
           "Compare the token's `iss` with the service's DOORWARD_ISSUER, character by character."),
    Reason(12, "wrong_environment", 401, "invalid_token", "A test key met a live service, or the reverse.",
           "Use a key of the environment that this service accepts (`live` unless it says otherwise)."),
    Reason(13, "signature_invalid", 401, "invalid_token", "The token's signature does not fit.",
           "Send the token as it was issued; a token that was edited or cut is worthless."),
    Reason(14, "signing_key_unknown", 401, "invalid_token", "The key that signed it is not published.",
           "Get a new token: the signing key may have been removed."),
    Reason(15, "token_malformed", 401, "invalid_token", "The token breaks a rule of JWT or RFC 9068.",
           "See `doorward inspect -` for the first rule that it breaks."),
    Reason(16, "token_type_wrong", 401, "invalid_token", "The JWT is no access token by its `typ`.",
           "Send the access token, not the ID token, logout token or assertion."),
    Reason(17, "token_bound", 401, "invalid_token", "The token is bound to a proof that nobody checks here.",
           "Ask for an unbound token, or call a service that takes the proof."),
    Reason(18, "not_yet_valid", 401, "invalid_token", "The token is not valid yet.",
           "Compare the clocks of issuer and service; 10 seconds of difference are forgiven."),
    Reason(19, "verifier_unconfigured", 503, "temporarily_unavailable",
           "The service has no verifier credentials, so it cannot ask about keys and opaque tokens.",
           "Run `doorward verifiers create --api URI -o env`, and give the service what it prints."),
    Reason(20, "verifier_refused", 503, "temporarily_unavailable",
           "The server does not accept the service's verifier credentials.",
           "See `doorward verifiers list`; `doorward verifiers rotate` makes fresh ones for the service."),
    Reason(21, "server_unreachable", 503, "temporarily_unavailable",
           "The service could not reach the server, and may not decide alone.",
           "Check the network, DOORWARD_ISSUER and DOORWARD_CA_FILE at the service, then try again."),
    Reason(22, "plaintext", 403, "invalid_request", "The request arrived over plain HTTP.",
           "Call https:// from now on, and replace the credential: it was exposed, and may have been revoked."),
    Reason(23, "insufficient_user_authentication", 401, "insufficient_user_authentication",
           "The user signed in too weakly or too long ago for this.",
           "Send the user to sign in again with the `acr_values` and `max_age` of WWW-Authenticate."),
    Reason(24, "network_not_allowed", 401, "invalid_token",
           "The credential may not be used from this address.",
           "Use it from one of its networks, or make another one; see `doorward keys show` or `admin-keys list`."),
    Reason(25, "rate_limited", 429, "slow_down", "The key was used more often than its rate limits allow.",
           "Wait for the seconds of Retry-After, and spread requests; RateLimit tells how many are left."),
    Reason(26, "quota_exceeded", 429, "slow_down", "A quota of the key is used up.",
           "Wait until the quota is refilled, which RateLimit tells, or ask for a larger one."),
    Reason(27, "limits_uncountable", 503, "temporarily_unavailable",
           "The key has limits, and nobody can count them at the moment.",
           "Try again after Retry-After seconds; see `on_limiter_failure` of the server, and `on_limiter_outage` of a "
           "verifier."),
    Reason(70, "transport_not_allowed", 400, "invalid_request",
           "The credential is good, and was sent in a way that the api does not take.",
           "Send it as `Authorization: Bearer ...`, or as `doorward apis show` says; a key that was in a URL was "
           "logged on its way: rotate it."),
    Reason(71, "key_in_browser", 400, "invalid_request", "A live key was sent by a browser, whose user can read it.",
           "Keep live keys on servers, and rotate this one; apps in browsers use the code flow with PKCE."),
    Reason(68, "cost_impossible", 422, "invalid_request",
           "The request costs more than a limit of the credential ever has: waiting does not help.",
           "Ask for less at once, lower the cost, or raise the limit's burst or amount; see `doorward keys show`."),
    Reason(60, "assertion_misplaced", 401, "invalid_token",
           "The gateway's assertion was made for another method or URI.",
           "Let the gateway pass the request on as it came: no rewriting of the path or query behind the check."),
    Reason(61, "assertion_replayed", 401, "invalid_token", "The gateway's assertion was used before.",
           "Let the gateway ask about each request, and not try a request again under the same answer."),
)  # fmt: skip

BY_NAME = {reason.name: reason for reason in REASONS}
