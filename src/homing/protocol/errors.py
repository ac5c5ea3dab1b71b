"""The error catalogue: every code Homing answers with, its HTTP status, and what the client does next.

Problem documents, item results and ``docs/reference/errors.md`` all derive from this table. A code's meaning never
changes and a code is never removed; new ones may be added.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What a client does after an error. A bare status code never means anything else."""

    RETRY = "retry"  # the same request again, after Retry-After
    RESYNC = "resync"  # forget the token, keep the outbox, pull from the start
    LOGIN = "login"  # sign in again, then the same request
    ENROLL = "enroll"  # register the device, then the same request
    UPGRADE = "upgrade"  # a newer app is needed; keep the outbox
    WIPE = "wipe"  # remove the replica; nothing will be accepted from it
    STOP = "stop"  # a person or a programmer has to look


NEXT: Mapping[Action, str] = {
    Action.RETRY: "Send the same request again, after `Retry-After` seconds. Nothing was lost.",
    Action.RESYNC: "Forget the sync token, keep the outbox, pull from the start.",
    Action.LOGIN: "Redeem the refresh token or ask for the password, then send the same request.",
    Action.ENROLL: "Register the device, then send the same request.",
    Action.UPGRADE: "A newer app is needed. Keep the outbox; it is sent when the app is there.",
    Action.WIPE: "Remove the replica. Nothing will be accepted from it any more.",
    Action.STOP: "Sending it again gives the same answer. A person or a programmer has to look.",
}
"""What each action asks of a client, in words for the pages about errors."""


@dataclass(frozen=True, slots=True)
class Code:
    """One row of the catalogue. ``status`` is None for codes that only appear in item results."""

    code: str
    status: int | None
    title: str
    action: Action
    meaning: str


def _catalogue(*codes: Code) -> dict[str, Code]:
    return {code.code: code for code in codes}


A = Action
CATALOGUE: dict[str, Code] = _catalogue(
    # The envelope: nothing of the request was done.
    Code(
        "invalid_json",
        400,
        "The body is not JSON",
        A.STOP,
        "Malformed JSON, NaN or Infinity, a number out of range, or text that is not UTF-8.",
    ),
    Code(
        "duplicate_key",
        400,
        "A key appears twice",
        A.STOP,
        "An object names one key twice; which one counts would be a guess.",
    ),
    Code(
        "too_deep",
        400,
        "The body is nested too deeply",
        A.STOP,
        "Objects and arrays nest deeper than the published limit.",
    ),
    Code(
        "invalid_envelope",
        422,
        "The request has another shape",
        A.STOP,
        "A field of the request is missing, unknown in kind, or of another type; the detail names it.",
    ),
    Code(
        "invalid_parameter",
        400,
        "A query parameter is not valid",
        A.STOP,
        "A query parameter is unknown, repeated, or not a value it can take.",
    ),
    Code(
        "unsupported_media_type",
        415,
        "The body's type is not supported",
        A.STOP,
        "Send application/json, plain or with Content-Encoding gzip or zstd.",
    ),
    Code(
        "not_acceptable",
        406,
        "No acceptable representation",
        A.STOP,
        "The Accept header excludes every type this address can answer with.",
    ),
    Code(
        "too_large",
        413,
        "Too large",
        A.STOP,
        "The body, a field or an index key is over the published limit. In an item result: that value alone.",
    ),
    Code(
        "too_many_items",
        413,
        "Too many items",
        A.STOP,
        "The batch holds more items than the published limit; nothing was applied. Send it in parts.",
    ),
    Code(
        "media_mismatch",
        422,
        "Not the file that was promised",
        A.STOP,
        "The file's size, type or SHA-256 is not what presign was told; nothing of it is kept. Send the right file.",
    ),
    Code(
        "image_broken",
        422,
        "The image cannot be used",
        A.STOP,
        "The file is an image by its type, but it cannot be read, or is too large to be: there are no variants of it. "
        "The detail says what is wrong. Take it again, or send it as something else.",
    ),
    Code(
        "range_not_satisfiable",
        416,
        "No such range",
        A.STOP,
        "The Range header asks for bytes that the file does not have, or for several ranges at once.",
    ),
    Code(
        "invalid_link",
        403,
        "The address does not work",
        A.STOP,
        "A signed address that has expired or was altered: one answer for both. Ask for a new one.",
    ),
    Code(
        "invalid_signature",
        400,
        "The signature does not fit",
        A.STOP,
        "A webhook whose signature is missing, wrong or too old: one answer for all. Nothing was looked at.",
    ),
    Code(
        "payment_refused",
        422,
        "The gateway refused the payment",
        A.STOP,
        "The payment gateway does not take this payment; the detail is its own sentence. Nothing was paid.",
    ),
    Code(
        "too_slow",
        408,
        "The request came too slowly",
        A.RETRY,
        "The body did not arrive in time and the connection was closed. Send it again, in smaller parts on a bad line.",
    ),
    Code("headers_too_large", 431, "Headers too large", A.STOP, "Fewer or shorter headers are needed."),
    Code(
        "not_found",
        404,
        "Not found",
        A.STOP,
        "There is no such thing, or not for you: the answer is the same for both.",
    ),
    Code(
        "method_not_allowed",
        405,
        "Method not allowed",
        A.STOP,
        "This address answers to the methods in the Allow header.",
    ),
    Code(
        "reused_with_other_body",
        409,
        "Key used with another body",
        A.STOP,
        "The idempotency key was used before with different contents; the first result stands.",
    ),
    Code(
        "already_resolved",
        409,
        "Already resolved",
        A.STOP,
        "Somebody resolved this conflict first; the answer names the winner.",
    ),
    Code(
        "precondition_failed",
        412,
        "Changed since",
        A.STOP,
        "The row is not of the version that If-Match names. The answer holds it as it is: look at it, then decide.",
    ),
    Code("already_exists", 409, "Already exists", A.STOP, "Something with this name, code or key exists already."),
    Code(
        "state_conflict",
        409,
        "Not possible in this state",
        A.STOP,
        "The thing is in a state in which this cannot be done; the detail says which.",
    ),
    Code(
        "quota_exceeded",
        403,
        "No room left in this tenant",
        A.STOP,
        "The tenant has as many users, devices, rows or bytes of files as it may; the answer names the quota. "
        "Whoever runs the server can raise it.",
    ),
    Code(
        "too_many_connections",
        503,
        "No room for another connection",
        A.RETRY,
        "The server has as many live connections as it may. Come back later, or pull now and then.",
    ),
    Code(
        "too_slow_reader",
        None,
        "The connection was too slow",
        A.RETRY,
        "More was waiting for this live connection than is kept. Connect again with the last token; nothing is lost.",
    ),
    Code(
        "replaced",
        None,
        "Another connection took its place",
        A.STOP,
        "The same device or user opened more live connections than it may have; the oldest is ended.",
    ),
    Code(
        "going_away",
        None,
        "The server is stopping",
        A.RETRY,
        "The node stops or restarts. Connect again, to this node or another; nothing is lost.",
    ),
    Code("rate_limited", 429, "Too many requests", A.RETRY, "Wait for Retry-After; nothing is lost."),
    Code(
        "client_too_old",
        426,
        "A newer app is needed",
        A.UPGRADE,
        "This version of the app is no longer served. The outbox is kept.",
    ),
    # Who is calling.
    Code("unauthenticated", 401, "Sign in", A.LOGIN, "There is no access token, or it is expired or not valid."),
    Code(
        "invalid_credentials",
        401,
        "Wrong login or password",
        A.LOGIN,
        "One answer for an unknown login, a wrong password and an inactive user.",
    ),
    Code(
        "invalid_refresh_token",
        401,
        "Sign in again",
        A.LOGIN,
        "The refresh token is unknown, expired, or was used after its successor.",
    ),
    Code(
        "enrollment_gone",
        410,
        "The enrolment token does not work",
        A.STOP,
        "Unknown, used, expired or cancelled: one answer for all. The office makes a new one.",
    ),
    Code(
        "invalid_proof",
        401,
        "The device must prove that it has its key",
        A.STOP,
        "The device was enrolled with a key: sign a challenge with it. A device that lost its key is enrolled again.",
    ),
    Code(
        "forbidden",
        403,
        "Not allowed",
        A.STOP,
        "The role does not allow this. In an item result: the row would leave what the caller may see or write.",
    ),
    Code(
        "device_mismatch",
        403,
        "Another device's name",
        A.STOP,
        "The body names a device other than the access token's.",
    ),
    Code(
        "device_unknown",
        403,
        "Register the device first",
        A.ENROLL,
        "POST /api/v1/mobile/devices, then the same request.",
    ),
    Code(
        "device_suspended",
        403,
        "The device is suspended",
        A.STOP,
        "The office suspended this device; its data stay on it, nothing is exchanged.",
    ),
    Code(
        "device_revoked",
        403,
        "The device is revoked",
        A.WIPE,
        "Nothing is delivered to or accepted from this device any more.",
    ),
    Code(
        "tenant_suspended",
        403,
        "This tenant is suspended",
        A.STOP,
        "Nothing is exchanged with this tenant for now. What is on the device stays there, and so does its outbox.",
    ),
    # Tokens.
    Code(
        "invalid_token",
        400,
        "The token is not valid",
        A.RESYNC,
        "Altered, not ours, or another user's: one answer for all.",
    ),
    Code(
        "resync_required",
        410,
        "Start again",
        A.RESYNC,
        "The token is too old, of another epoch, or from the future. The outbox is kept.",
    ),
    # The server's side.
    Code(
        "unavailable",
        503,
        "Try again later",
        A.RETRY,
        "The database cannot be reached, is restarting, or the request took too long. Sending it again is safe.",
    ),
    Code(
        "being_migrated",
        503,
        "This tenant is back soon",
        A.RETRY,
        "The tenant's database is being moved, or its schema is not up to date yet. Sending it again is safe.",
    ),
    Code("storage_full", 507, "No room for the file", A.RETRY, "The media store has no room."),
    Code("internal", 500, "A bug in the server", A.STOP, "Reported in the server's log under the given id."),
    # Item results.
    Code(
        "version_conflict",
        409,
        "Both sides changed the same field",
        A.STOP,
        "The office decides; the decision comes with a later pull.",
    ),
    Code(
        "stale_epoch",
        None,
        "Version from the future",
        A.RESYNC,
        "client_version is higher than the row has ever been here: the server was restored to an earlier point.",
    ),
    Code(
        "deleted",
        409,
        "The row was deleted",
        A.STOP,
        "The row the edit was based on is gone; the edit is kept for the office.",
    ),
    Code(
        "exists",
        None,
        "A row with this id exists",
        A.STOP,
        "A create named the id of a row that exists, or the item demanded that it must not.",
    ),
    Code("unique", None, "Another row has this value", A.STOP, "A value that must be unique is taken."),
    Code("unknown_table", None, "No such table", A.STOP, "resource_type names no synced table."),
    Code("unknown_column", None, "No such column", A.STOP, "The payload names a column that the table does not have."),
    Code(
        "read_only_column",
        None,
        "Column cannot be written",
        A.STOP,
        "The payload names a column that this role may not write.",
    ),
    Code(
        "invalid_value",
        None,
        "A value is not valid",
        A.STOP,
        "A value is of another type, out of range, or would come back changed; the error names its path.",
    ),
    Code("missing_value", None, "A value is missing", A.STOP, "A column that needs a value got none."),
    Code(
        "check_failed",
        None,
        "A rule of the application refused it",
        A.STOP,
        "The error says which rule, and what would pass.",
    ),
    Code(
        "fk_missing",
        None,
        "A referenced row is missing",
        A.STOP,
        "A reference names a row that does not exist, or that the caller cannot see.",
    ),
    Code(
        "still_referenced",
        None,
        "Other rows refer to it",
        A.STOP,
        "The row cannot be deleted while others refer to it.",
    ),
    Code(
        "media_missing",
        None,
        "A file is missing",
        A.RETRY,
        "A named upload is missing, not the caller's, or not what was promised. Upload it, then send the item again.",
    ),
    Code(
        "dependency_failed",
        None,
        "It depends on something that failed",
        A.STOP,
        "The item refers to a temp id whose create did not succeed.",
    ),
    Code(
        "group_aborted",
        None,
        "The whole batch was refused",
        A.STOP,
        "All-or-nothing was asked for and another item failed; the error names it.",
    ),
    Code(
        "held_for_review",
        None,
        "Held for review",
        A.RETRY,
        "The device's trust is low: the office looks at the batch first. Ask again later with the same batch_token.",
    ),
)


class Problem(Exception):  # noqa: N818 - "problem" is the field's word (RFC 9457)
    """A request that is refused as a whole. The server turns it into application/problem+json.

    ``code`` must be in the catalogue; ``extra`` members are added to the document.
    """

    def __init__(self, code: str, detail: str = "", *, retry_after: int | None = None, **extra: Any) -> None:
        self.code = CATALOGUE[code]
        self.detail = detail or self.code.meaning
        self.retry_after = retry_after if retry_after is not None else (1 if self.code.action is Action.RETRY else None)
        self.extra = extra
        super().__init__(f"{code}: {self.detail}")

    def document(self) -> dict[str, Any]:
        """The members of the problem document (RFC 9457), plus ``code`` and ``action``."""
        return {
            "type": f"/docs/errors#{self.code.code}",
            "title": self.code.title,
            "status": self.code.status or 422,
            "detail": self.detail,
            "code": self.code.code,
            "action": self.code.action.value,
            **self.extra,
        }
