-- A new form begins as a draft that only the office sees.
INSERT INTO fieldwork.mobile_forms (code, name, draft_schema, draft, created_by)
VALUES (%(code)s, %(name)s, %(schema)s::jsonb, true, %(user)s::uuid)
RETURNING id
