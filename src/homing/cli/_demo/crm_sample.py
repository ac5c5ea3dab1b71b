"""A few customers, jobs and materials for ``homing demo``, made through the API: nothing like this is ever made by a
migration, so no server that was not asked has accounts or data that it was born with."""

from __future__ import annotations

from collections.abc import Mapping

from homing.cli._demo.office import Desk

_CUSTOMERS = """name,phone,email,address,notes
Ada Lovelace,555-0100,ada@example.org,12 Elm Street,Call before noon
Grace Hopper,555-0200,grace@example.org,1 Navy Yard,
Alan Turing,555-0300,,3 Bletchley Lane,The dog is friendly
"""
_JOBS = (
    ("Grace Hopper", "Fence along the yard", "ben", ("Posts", "Boards", "Hinges")),
    ("Ada Lovelace", "Kitchen cabinets", "ana", ("Hinges", "Screws", "Glue")),
    ("Alan Turing", "Bathroom tiles", "ana", ("Tiles", "Grout")),
)


def fill(desk: Desk, users: Mapping[str, str]) -> None:
    """``users``: login → id of the workers. Nothing where the server has no CRM."""
    if all(app["name"] != "crm" for app in desk.call("GET", "/auth/me")["apps"]):
        return
    desk.call("POST", "/crm/customers/import", {"csv": _CUSTOMERS})
    customers = {each["name"]: each["id"] for each in desk.call("GET", "/crm/customers")["items"]}
    for name, title, worker, needed in _JOBS:
        job = desk.call("POST", "/crm/jobs", {"title": title, "customer_id": customers[name]})["id"]
        desk.call("PUT", f"/crm/jobs/{job}/assignments/{users[worker]}")
        for item in needed:
            desk.call("POST", f"/crm/jobs/{job}/materials", {"item_name": item})
    desk.call("POST", f"/crm/jobs/{job}/status", {"status": "IN_PROGRESS"})
