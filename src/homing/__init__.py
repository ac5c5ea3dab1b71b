"""Homing: an offline-first sync server for PostgreSQL. One database, one API, many clients."""

__version__ = "0.1.0"
