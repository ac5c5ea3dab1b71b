"""A sheet of paper for many people: a card each, with the QR code, the code to type, and what to do with them.

One page of HTML that needs nothing from anywhere: the pictures are in it, there is no script, and its only style is
named in the policy it is sent with.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from importlib.resources import files

from homing.accounts import enrolment_qr
from homing.protocol.enrolment import Invitation, grouped


@dataclass(frozen=True, slots=True)
class Card:
    """One person's. ``username`` None: they choose it themselves."""

    username: str | None
    role: str
    expires_at: datetime
    invitation: Invitation


def html(cards: Sequence[Card], *, title: str) -> str:
    """The page, A4, six cards each."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f"<style>{_style()}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        "<p>Cut along the lines and hand each card to the person it names. Whoever scans a card first has it.</p>\n"
        f"<main>\n{''.join(map(_card, cards))}</main>\n</body>\n</html>\n"
    )


def policy() -> str:
    """The Content-Security-Policy that such a page is sent with."""
    digest = base64.b64encode(hashlib.sha256(_style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"


def _card(card: Card) -> str:
    name = escape(card.username) if card.username is not None else "Choose a username"
    until = f"{card.expires_at:%d %B %Y, %H:%M} UTC"
    code = grouped(card.invitation.token.secret or "")
    first, second = code[:14], code[15:]
    return (
        f"<section>\n<h2>{name}</h2>\n<p>{escape(card.role.capitalize())}, until {until}</p>\n"
        f"{enrolment_qr.svg(card.invitation)}\n"
        f"<p>Scan it with the app, or type</p>\n<p><code>{first}-<br>{second}</code></p>\n"
        f"<p>at <b>{escape(card.invitation.url)}</b>, {escape(card.invitation.tenant)}</p>\n</section>\n"
    )


def _style() -> str:
    return files(__package__).joinpath("enrolment_sheet.css").read_text(encoding="utf-8")
