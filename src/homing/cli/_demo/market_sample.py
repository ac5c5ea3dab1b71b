"""What ``homing demo`` has in the marketplace: two jobs of the office, and freelancers, one of whom is to be paid."""

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
            ("Translate the season's report", "Twelve pages, into plain English.", ["english"]),
        )
    ]
    for login, skills in SKILLS.items():
        with at_desk(url, login) as field:
            field.call("PUT", "/marketplace/profile", {"name": login.title(), "skills": skills})
            terms = {"job_id": jobs[0], "amount_cents": AMOUNT_CENTS, "cover_letter": "I have counted before."}
            made = field.call("POST", "/marketplace/proposals", terms)
        if login == "ana":
            mine = str(made["id"])
    desk.call("POST", f"/marketplace/proposals/{mine}/status", {"status": "accepted"})


def to_pay(desk: Desk) -> str | None:
    """The proposal that is accepted and not paid yet; None where the marketplace is not served."""
    if not _is_served(desk):
        return None
    found = desk.call("GET", "/marketplace/proposals", box="received", status="accepted")["items"]
    return str(found[0]["id"])


def _is_served(desk: Desk) -> bool:
    return any(app["name"] == "marketplace" for app in desk.call("GET", "/auth/me")["apps"])
