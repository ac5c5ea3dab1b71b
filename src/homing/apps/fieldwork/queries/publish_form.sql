-- The draft becomes the form's schema and, in the same breath, a version that is kept for ever.
WITH published AS (
    UPDATE fieldwork.mobile_forms f
    SET schema = f.draft_schema, draft_schema = NULL, draft = false, version = %(version)s, published = true
    WHERE f.id = %(form_id)s::uuid
    RETURNING f.id, f.schema
)
INSERT INTO fieldwork.form_versions (form_id, form_version, schema, published_by)
SELECT p.id, %(version)s, p.schema, %(user)s::uuid FROM published p
