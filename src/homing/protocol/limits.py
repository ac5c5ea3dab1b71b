"""Every bound of the wire, with its unit and its reason. Published at ``GET /api/v1/capabilities``."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds that an operator may set; the defaults suit phones and a small server."""

    batch_items_max: int = 500
    """Items a push may hold. Specs advise phones to send 50; the server takes a desktop's 500 in one transaction."""
    batch_items_advised: int = 50
    """What clients should send: small enough to get through on a bad line."""
    body_bytes_max: int = 8 * 2**20
    """Bytes of a body after decompression: 500 items of 16 KiB."""
    body_seconds_max: int = 30
    """Seconds in which a body must arrive. One that has not by then never will; the connection is worth more."""
    head_seconds_max: int = 10
    """Seconds in which a request's line and headers must arrive: slow senders hold no connection."""
    page_changes_max: int = 5000
    """Changes a pull may return. A page is built in memory once."""
    page_changes_default: int = 1000
    depth_max: int = 32
    """Levels of nesting in a body. Real payloads stay under ten; the parser recurses."""
    key_bytes_max: int = 200
    """Bytes of a client_temp_id or batch_token: they are index keys."""
    text_bytes_max: int = 1 * 2**20
    """Bytes of one item's payload."""
    media_bytes_max: int = 512 * 2**20
    """Bytes of one uploaded file."""
    media_begun_max: int = 1000
    """Uploads one user may have begun and not finished: a month of photos, and an end to filling disks with parts."""
    media_stall_seconds_max: int = 60
    """Seconds an upload's sender may say nothing. Then it is told to go on later, and its memory is free."""
    media_pixels_max: int = 50_000_000
    """Pixels of an image of which variants are made: more than phones take, and no file that unpacks to gigabytes."""
    media_image_bytes_max: int = 64 * 2**20
    """Bytes of such an image's file: it is read whole, next to others."""
    enrolments_open_max: int = 1000
    """Enrolment tokens of one maker that may wait to be used: a large team's phones on one day, and an end to a stolen
    login that makes more."""
    telemetry_metrics_max: int = 1000
    """Metrics of one batch of telemetry: an hour of some sensors, written in less than a tenth of a second."""
    analytics_events_max: int = 1000
    """Events of one batch of analytics: a week offline, in a body of some hundred kilobytes."""
    analytics_event_bytes_max: int = 16 * 2**10
    """Bytes of one event: what was done, not what was seen."""
    token_xids_max: int = 2000
    """Running transactions a token names one by one. With more, it falls back to the lowest: some rows come twice."""
    token_bytes_max: int = 16 * 2**10
    """Bytes of a token; longer ones are not ours."""
    live_sockets_max: int = 10_000
    """Live connections of one process. Each costs memory, and a file handle of the system's."""
    live_sockets_a_user_max: int = 20
    """Live connections of one user: some devices, some windows. One more ends the oldest."""
    live_sockets_a_device_max: int = 3
    """Live connections of one device: the one in use, and those it lost without a word. One more ends the oldest."""
    live_backlog_bytes_max: int = 1 * 2**20
    """Bytes that wait for one live connection. A client that reads slower than others write comes back and pulls."""
    push_tokens_a_user_max: int = 20
    """Devices and browsers of one user that notifications are pushed to. One more forgets the one not seen longest."""
    notifications_days: int = 180
    """Days a notification is kept in its user's list."""
    history_days: int = 400
    """Days of history kept: how long an offline edit can still be merged field by field."""
    departures_days: int = 90
    """Days a departure is kept: a device away for longer starts again, with its outbox."""


DEFAULT_LIMITS = Limits()
