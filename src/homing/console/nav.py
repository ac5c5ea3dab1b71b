"""The side navigation: its sections and entries, and who sees which."""

from __future__ import annotations

from dataclasses import dataclass

from homing.server.routing import OFFICE, SIGNED_IN, Roles


@dataclass(frozen=True, slots=True)
class Entry:
    """``icon`` is a symbol of static/icons.svg; ``key``: ``g`` and then this letter goes there; ``app``: only where the
    server has this application."""

    label: str
    href: str
    icon: str
    roles: Roles = OFFICE
    key: str | None = None
    app: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    label: str | None
    entries: tuple[Entry, ...]


SECTIONS = (
    Section(None, (Entry("Overview", "/console/overview", "layout-dashboard", key="o"),)),
    Section(
        "Sync",
        (
            Entry("Conflicts", "/console/conflicts", "git-merge", key="c"),
            Entry("Devices", "/console/devices", "smartphone", key="d"),
            Entry("Enrolment", "/console/enrolments", "qr-code", key="e"),
            Entry("Batches", "/console/batches", "package", key="b"),
            Entry("Quarantine", "/console/quarantine", "ban", key="q"),
        ),
    ),
    Section(
        "Data",
        (
            Entry("Messages", "/console/messages", "message-square", roles=SIGNED_IN, key="m", app="messaging"),
            Entry("Submissions", "/console/submissions", "clipboard-list", key="s", app="fieldwork"),
            Entry("Tables", "/console/tables", "table-2", roles=SIGNED_IN, key="t"),
        ),
    ),
    Section(
        "Applications",
        (
            Entry("Forms", "/console/forms", "file-text", key="f", app="fieldwork"),
            Entry("CRM", "/console/crm", "briefcase", roles=SIGNED_IN, key="r", app="crm"),
            Entry("Marketplace", "/console/marketplace", "store", key="p", app="marketplace"),
        ),
    ),
    Section(
        "Administration",
        (
            Entry("Users", "/console/users", "users", key="u"),
            Entry("Roles", "/console/roles", "shield-check"),
            Entry("Audit log", "/console/audit", "scroll-text", key="a"),
            Entry("Jobs", "/console/jobs", "list-checks", key="j"),
            Entry("Tenants", "/console/tenants", "building-2"),
            Entry("Settings", "/console/settings", "settings"),
            Entry("API reference", "/console/api", "book-open", roles=SIGNED_IN),
        ),
    ),
)


def sections_for(role: str, apps: set[str]) -> list[Section]:
    """What somebody of this role sees on a server with these applications."""
    found = []
    for section in SECTIONS:
        entries = tuple(
            entry for entry in section.entries if may_see(entry, role) and (entry.app is None or entry.app in apps)
        )
        if entries:
            found.append(Section(section.label, entries))
    return found


def may_see(entry: Entry, role: str) -> bool:
    return entry.roles is SIGNED_IN or (isinstance(entry.roles, frozenset) and role in entry.roles)
