"""Kinto's WSGI application for uwsgi. Runs in Kinto's virtual environment, not in ours."""

import os

from pyramid.paster import get_app

application = get_app(os.environ["KINTO_INI"], "main")
