"""HTTP for the web: the same messages and rules as sync, one file a thing."""

from homing.apps.messaging.routes import contacts, messages

ROUTES = (*messages.ROUTES, *contacts.ROUTES)
