"""HTTP for the web: the same rows and rules as sync, one file a thing."""

from homing.apps.crm.routes import activity, customers, jobs, materials, operations

ROUTES = (*customers.ROUTES, *jobs.ROUTES, *materials.ROUTES, *activity.ROUTES, *operations.ROUTES)
