"""The reasons of refusals: the verifier's (1-99) and the server's own (from 100), with sentence and fix."""

from __future__ import annotations

from doorward_verify.reasons import REASONS as CHECKS
from doorward_verify.reasons import Reason

SERVER = (
    Reason(100, "request_malformed", 400, "invalid_request",
           "The request could not be read: a parameter was missing, repeated or malformed.",
           "Compare the request with the reference at /v1/docs; send each parameter once."),
    Reason(101, "client_unauthenticated", 401, "invalid_client",
           "The client could not be authenticated.",
           "Check client_id and client_secret, send them one way only, and see that client and account "
           "are active."),
    Reason(103, "grant_type_not_allowed", 400, "unauthorized_client",
           "The client is not registered for this grant type.",
           "See `doorward clients show` for the grant types it may use."),
    Reason(104, "grant_type_unknown", 400, "unsupported_grant_type", "This grant type is not offered.",
           "Use one of `grant_types_supported` at /.well-known/oauth-authorization-server."),
    Reason(105, "scope_invalid", 400, "invalid_scope",
           "The scope is malformed, or is more than the client was granted.",
           "Ask for the scopes that `doorward clients show` lists, separated by single spaces."),
    Reason(106, "resource_unknown", 400, "invalid_target",
           "The resource is unknown, or the client has no grant for it.",
           "Send the identifier of one of the client's apis; a client of one api may leave resource out."),
    Reason(107, "entity_unknown", 404, None, "There is no such entity.",
           "List the entities of this kind; an id is never used again after a deletion."),
    Reason(108, "entity_conflict", 409, None, "The entity exists already, or its state does not allow this.",
           "Show the entity and compare."),
    Reason(109, "version_changed", 412, None, "The entity was changed since it was read.",
           "Read it again and send the new ETag in If-Match."),
    Reason(110, "field_invalid", 422, None, "A field has a value that cannot be accepted.",
           "The answer's `errors` name the fields and what each must be."),
    Reason(111, "body_too_large", 413, "invalid_request", "The body is larger than 64 KiB.",
           "Send less: no request to this server needs more."),
    Reason(112, "media_type_wrong", 415, "invalid_request", "The body has the wrong content type.",
           "OAuth endpoints take application/x-www-form-urlencoded, /v1 takes application/json."),
    Reason(113, "method_wrong", 405, "invalid_request", "The method is not allowed here.",
           "See the Allow field of the answer."),
    Reason(114, "store_unavailable", 503, "temporarily_unavailable",
           "The server could not commit the change, and changed nothing.",
           "Try again after Retry-After seconds."),
    Reason(115, "idempotency_mismatch", 422, None,
           "The idempotency key was used before with another request.", "Use a fresh Idempotency-Key."),
    Reason(116, "setup_over", 410, None, "The setup link was used, is too old, or an administrator exists.",
           "Restart the server for a new link, or run `doorward admin-keys create`."),
    Reason(117, "cursor_invalid", 400, None, "The cursor was not made for this list.",
           "Start again without a cursor."),
    Reason(118, "token_claims_too_large", 400, "invalid_request", "The token would be larger than 4 KiB.",
           "Map fewer or smaller metadata into the api's claims."),
    Reason(119, "headers_too_large", 431, None, "The headers are larger than 16 KiB.", "Send fewer cookies."),
    Reason(120, "secret_in_query", 400, "invalid_request", "A secret was sent in the URL.",
           "Send credentials in the Authorization header or the body, and replace this secret: "
           "URLs are logged."),
    Reason(121, "overloaded", 503, "temporarily_unavailable", "The server's queue is full.",
           "Try again after Retry-After seconds."),
    Reason(122, "network_not_allowed", 401, "invalid_token",
           "The credential may not be used from this address.",
           "Use it from one of its networks, or make another one; see `doorward admin-keys list`."),
    Reason(123, "path_unknown", 404, None, "Nothing answers at this path.", "See /v1/docs for what is served."),
    Reason(124, "internal_error", 500, None, "The server failed, and changed nothing that it did not confirm.",
           "Look for the request id in the server's log, and report it."),
    Reason(125, "feed_gone", 410, "gone",
           "The revocation feed cannot be continued from this position: it is of another epoch, ahead or too old.",
           "Take a snapshot from GET /revocations, and continue from its `pos`."),
)  # fmt: skip

REASONS = {reason.name: reason for reason in (*CHECKS, *SERVER)}
BY_CODE = {reason.code: reason for reason in REASONS.values()}
