-- Grants are in one place (0007_roles.sql).
SELECT homing.let_api_in(%(schemas)s)
