"""HTTP for the web: the same rows and rules as sync, one file a thing."""

from homing.apps.fieldwork.routes import forms, meters, submissions, teams

ROUTES = (*forms.ROUTES, *submissions.ROUTES, *teams.ROUTES, *meters.ROUTES)
