"""The pages of the console that grow with something, and where they are asked for: with rows of ``console_rows``."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from urllib.parse import urlencode

from bench.contenders.homing import PASSWORD
from bench.measures.console_rows import OWNER


class Browser:
    """One kept connection, signed in by the form."""

    def __init__(self, port: int) -> None:
        self._conn = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Origin": f"http://127.0.0.1:{port}", "Accept": "text/html"}
        form = urlencode({"login": "owner", "password": PASSWORD})
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        self._conn.request("POST", "/console/sign-in", form, {**self._headers, **kind})
        answer = self._conn.getresponse()
        answer.read()
        if answer.status != 303:
            raise SystemExit(f"signing in: {answer.status}")
        self._headers["Cookie"] = str(answer.getheader("set-cookie")).partition(";")[0]

    def get(self, address: str) -> str:
        """The page, whole."""
        self._conn.request("GET", address, headers=self._headers)
        answer = self._conn.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise SystemExit(f"{address}: {answer.status}")
        return text

    def begin(self, address: str) -> None:
        """The first bytes of what is sent as it is made; the rest is not waited for."""
        self._conn.request("GET", address, headers={**self._headers, "Accept": "*/*"})
        answer = self._conn.getresponse()
        answer.read(1)
        self._conn.close()
        if answer.status != 200:
            raise SystemExit(f"{address}: {answer.status}")

    def next_of(self, address: str, pages: int) -> str:
        """The address so many pages further on."""
        for _ in range(pages):
            found = re.search(r'href="([^"]+)" rel="next"', self.get(address))
            if found is None:
                raise SystemExit(f"{address} has no next page")
            address = found[1].replace("&amp;", "&")
        return address

    def first_of(self, address: str, pattern: str) -> str:
        """The first address on a page that fits."""
        found = re.search(f'href="({pattern})"', self.get(address))
        if found is None:
            raise SystemExit(f"{address} leads to no {pattern}")
        return found[1]


ID = r"[0-9a-f]{8}-[0-9a-f-]{27}"
EXPORTS = ("export.csv", "export.geojson")


def pages(browser: Browser) -> Iterator[tuple[str, str]]:
    """(what it is called, address) of every page."""
    yield from _sync(browser)
    yield from _data(browser)
    yield from _apps(browser)
    yield from _office(browser)


def _key(family: str, number: int) -> str:
    return f"00000000-0000-0000-{family}-{number:012}"


def _asked(address: str, **given: str) -> str:
    return f"/console/{address}?{urlencode(given)}"


def _sync(browser: Browser) -> Iterator[tuple[str, str]]:
    yield "overview", "/console/overview"
    yield "conflicts", "/console/conflicts"
    yield "conflicts, of a device", _asked("conflicts", device="phone-778")
    yield "conflicts, of a person", _asked("conflicts", person="worker-778")
    yield "a conflict", browser.first_of("/console/conflicts", f"/console/conflicts/{ID}")
    yield "devices", "/console/devices"
    yield "devices, twenty pages on", browser.next_of("/console/devices", 20)
    yield "devices, by a frequent word", _asked("devices", q="android 13")
    yield "devices, by a rare word", _asked("devices", q="phone-99998")
    yield "devices, by a word of none", _asked("devices", q="unicorn")
    yield "devices, suspended", _asked("devices", status="suspended")
    yield "devices, of a version", _asked("devices", version="2.3.1")
    yield "devices, silent for a day", _asked("devices", silent="day")
    yield "devices, distrusted", _asked("devices", trust="held")
    yield "devices, of a person", _asked("devices", user=_key("0001", 778))
    yield "a device", f"/console/devices/{_key('0002', 778)}"
    yield "explain", "/console/explain"
    asked = {"device": _key("0002", 778), "table": "fieldwork.submission"}
    yield "explain, a row", _asked("explain", **asked, row=_key("0005", 777))
    yield "explain, searched", _asked("explain", **asked, q="unicorn")
    yield "batches", "/console/batches"
    yield "batches, failed", _asked("batches", show="failed")
    yield "batches, held", _asked("batches", show="held")
    yield "batches, of a device", _asked("batches", device="phone-778")
    yield "a batch", browser.first_of("/console/batches", f"/console/batches/{ID}")
    yield "quarantine", "/console/quarantine"
    yield "quarantine, of a device", _asked("quarantine", device="phone-778")
    yield "quarantine, of a table", _asked("quarantine", table="fieldwork.submission")
    yield "a quarantined item", browser.first_of("/console/quarantine", f"/console/quarantine/{ID}")
    yield "enrolments", "/console/enrolments"
    yield "enrolments, twenty pages on", browser.next_of("/console/enrolments", 20)
    for state in ("pending", "used", "expired", "cancelled"):
        yield f"enrolments, {state}", _asked("enrolments", state=state)
    yield "an enrolment", f"/console/enrolments/{_key('0009', 77)}"


def _data(browser: Browser) -> Iterator[tuple[str, str]]:
    rows = "tables/fieldwork.submission"
    yield "tables", "/console/tables"
    yield "rows, the latest changed", f"/console/{rows}"
    yield "rows, twenty pages on", browser.next_of(f"/console/{rows}", 20)
    yield "rows, by an indexed filter", _asked(rows, where=f"team_id:is:{_key('0003', 7)}")
    yield "rows, by a status, sorted", _asked(rows, where="status:is:rejected", sort="-created_at")
    yield "a row", _asked(f"{rows}/row", key=_key("0005", 777))
    yield "a form of a row", _asked(f"{rows}/edit", key=_key("0005", 777))
    yield "submissions", "/console/submissions"
    yield "submissions, twenty pages on", browser.next_of("/console/submissions", 20)
    for name, given in SUBMISSION_FILTERS.items():
        yield f"submissions, {name}", _asked("submissions", **given)
    yield "submissions, map", "/console/submissions/map"
    for name, given in SUBMISSION_FILTERS.items():
        yield f"submissions, map, {name}", _asked("submissions/map", **given)
    yield "a submission", f"/console/submissions/{_key('0005', 777)}"
    yield "a submission with a photo", f"/console/submissions/{_key('0005', 775)}"
    for name in EXPORTS:
        yield f"submissions, {name}, until it begins", f"/console/submissions/{name}"


SUBMISSION_FILTERS = {
    "pending": {"status": "pending"},
    "of a form": {"form": "visit-1"},
    "of a rare form": {"form": "visit-78"},
    "of a rare form, rejected": {"form": "visit-78", "status": "rejected"},
    "of a device": {"device": "phone-778"},
    "in a small box": {"bbox": "8.1,47.1,8.11,47.11"},
    "in a box around all": {"bbox": "-180,-90,180,90"},
    "of a form in a box": {"form": "visit-78", "bbox": "8,47,8.5,47.5", "status": "pending"},
}


def _apps(browser: Browser) -> Iterator[tuple[str, str]]:
    yield "forms", "/console/forms"
    yield "a form", f"/console/forms/{_key('0004', 7)}"
    yield "a form, compared", f"/console/forms/{_key('0004', 7)}/compare"
    yield "messages", "/console/messages"
    yield "messages, by a frequent word", _asked("messages", q="ferry")
    yield "messages, by a rare word", _asked("messages", q="unicorn")
    yield "messages, whom to write", "/console/messages/new"
    yield "messages, whom to write, searched", _asked("messages/new", q="worker-99998")
    yield "a conversation", browser.first_of("/console/messages", f"/console/messages/{ID}")
    yield "CRM jobs", "/console/crm"
    yield "CRM jobs, twenty pages on", browser.next_of("/console/crm", 20)
    yield "CRM jobs, completed", _asked("crm", status="COMPLETED")
    yield "CRM jobs, of a worker", _asked("crm", worker=_key("0001", 7))
    yield "CRM jobs, of a worker, completed", _asked("crm", worker=_key("0001", 7), status="COMPLETED")
    yield "CRM jobs, as a worker", _asked("crm", view="worker")
    yield "a CRM job", f"/console/crm/jobs/{_key('0002', 777)}"
    yield "CRM customers", "/console/crm/customers"
    yield "CRM customers, by a rare word", _asked("crm/customers", q="777")
    yield "CRM customers, by a frequent word", _asked("crm/customers", q="harbour street")
    yield "CRM customers, archived", _asked("crm/customers", archived="yes")
    yield "a CRM customer", f"/console/crm/customers/{_key('0001', 777)}"
    yield "CRM activity", "/console/crm/activity"
    yield "CRM activity, of a job", _asked("crm/activity", job=_key("0002", 777))
    yield "CRM activity, of a kind", _asked("crm/activity", kind="job")
    yield "marketplace", "/console/marketplace"
    for days in (1, 30, 90):
        yield f"notifications, {days} days", _asked("marketplace/notifications", days=str(days))
        yield f"web against mobile, {days} days", _asked("marketplace/metrics", days=str(days))
        yield f"report, notifications, {days} days", _asked("marketplace/notifications", days=str(days), whole="true")
        yield f"report, web against mobile, {days} days", _asked("marketplace/metrics", days=str(days), whole="true")


def _office(browser: Browser) -> Iterator[tuple[str, str]]:
    yield "users", "/console/users"
    yield "users, by a frequent word", _asked("users", q="worker-99")
    yield "users, by a rare word", _asked("users", q="worker-99998")
    yield "users, by a word of none", _asked("users", q="unicorn")
    yield "users, of a role", _asked("users", role="OWNER")
    yield "a user", f"/console/users/{_key('0001', 778)}"
    yield "audit log", "/console/audit"
    yield "audit log, twenty pages on", browser.next_of("/console/audit", 20)
    yield "audit log, of one person", _asked("audit", actor=_key("0001", 778))
    yield "audit log, of the owner", _asked("audit", actor=str(OWNER))
    yield "audit log, of a table", _asked("audit", table="fieldwork.submission")
    yield "audit log, of an empty table", _asked("audit", table="crm.customer")
    yield "audit log, removals", _asked("audit", action="delete")
    for name in ("roles", "jobs", "tenants", "settings", "api"):
        yield name, f"/console/{name}"
