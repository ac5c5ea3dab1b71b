"""What ``homing demo`` has in the marketplace: three jobs of the office, one of them open, and two freelancers: one was
paid, in the sandbox, and one is to be paid."""

from __future__ import annotations

from homing.cli._demo.office import Desk, at_desk

SKILLS = {"ana": ["english", "counting"], "ben": ["english", "welding"]}
AMOUNT_CENTS = 12_000


def fill(desk: Desk, url: str) -> None:
    """Does nothing where the marketplace is not served."""
    if not _is_served(desk):
        return
    desk.call("PUT", "/marketplace/profile", {"name": "The office", "kind": "client"})
    jobs = [
        str(desk.call("POST", "/marketplace/jobs", {"title": title, "description": about, "skills": skills})["id"])
        for title, about, skills in (
            ("Count the nests on the photos", "Two hundred photos from the air, a number for each.", ["counting"]),
            ("Type the old notebooks", "Three notebooks of last season, into a table.", ["english"]),
            ("Translate the season's report", "Twelve pages, into plain English.", ["english"]),
        )
    ]
    proposals = {}
    for login, skills in SKILLS.items():
        with at_desk(url, login) as field:
            field.call("PUT", "/marketplace/profile", {"name": login.title(), "skills": skills})
            terms = {"job_id": jobs[0], "amount_cents": AMOUNT_CENTS, "cover_letter": "I have counted before."}
            proposals[login] = field.call("POST", "/marketplace/proposals", terms)["id"]
            if login == "ben":
                terms = {"job_id": jobs[1], "amount_cents": AMOUNT_CENTS, "cover_letter": "I type fast."}
                paid = field.call("POST", "/marketplace/proposals", terms)["id"]
    for accepted in (proposals["ana"], paid):
        desk.call("POST", f"/marketplace/proposals/{accepted}/status", {"status": "accepted"})
    asked = {
        "proposal_id": paid,
        "amount": AMOUNT_CENTS,
        "currency": "usd",
        "platform": "web",
        "deviceFingerprint": "d",
    }
    intent = desk.call("POST", "/payments/create-intent", asked)
    desk.call("POST", "/payments/sandbox/confirm", {"client_secret": intent["client_secret"]})


def to_pay(desk: Desk) -> str | None:
    """The proposal that is accepted and not paid yet; None where the marketplace is not served."""
    if not _is_served(desk):
        return None
    accepted = desk.call("GET", "/marketplace/proposals", box="received", status="accepted")["items"]
    paid = {payment["proposal_id"] for payment in desk.call("GET", "/payments")["items"]}
    return next(str(each["id"]) for each in accepted if each["id"] not in paid)


def _is_served(desk: Desk) -> bool:
    return any(app["name"] == "marketplace" for app in desk.call("GET", "/auth/me")["apps"])
