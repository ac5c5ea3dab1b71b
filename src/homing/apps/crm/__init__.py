"""The contractor CRM: customers, jobs, assignments, materials, history, activity (spec 5)."""

from homing.apps.crm.declaration import declare
from homing.apps.crm.jobs import JOBS
from homing.apps.crm.routes import ROUTES
from homing.apps.crm.rules import CHECKS

__all__ = ["CHECKS", "JOBS", "ROUTES", "declare"]
