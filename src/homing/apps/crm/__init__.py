"""The contractor CRM: customers, jobs, assignments, materials, history, activity (spec 5)."""

from homing.apps.crm.declaration import declare
from homing.apps.crm.jobs import JOBS
from homing.apps.crm.routes import ROUTES

__all__ = ["JOBS", "ROUTES", "declare"]
