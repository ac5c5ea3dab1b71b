"""People of the marketplace without passwords: many, and at once."""

from __future__ import annotations

from uuid import uuid4

from tests.sync.scene import Caller, Scene


class Market(Scene):
    """A server with the marketplace, its database as somebody outside sees it, and people."""

    def person(self, role: str = "WORKER", team: str | None = None, *, device: bool = True) -> Caller:
        """A new user, signed in on a new device."""
        assert team is None, "the marketplace has no teams"
        number = next(self.numbers)
        user, username = str(uuid4()), f"{role.lower()}-{number}"
        self.execute(
            "INSERT INTO homing.users (id, username, name, role) VALUES (%s, %s, 'somebody', %s)", user, username, role
        )
        return self.signed_in(Caller(self, user, username, role, "", "", ""), device=device)

    def job(self, client: Caller, title: str = "A site") -> str:
        """A job that somebody else offers, straight in the table."""
        return str(
            self.value(
                "INSERT INTO marketplace.jobs (client_id, title) VALUES (%s, %s) RETURNING id", client.user_id, title
            )
        )
