-- The draft that is about to be published. Locked, so that what was checked is what is published.
SELECT f.draft_schema, (SELECT count(*) FROM fieldwork.form_versions v WHERE v.form_id = f.id)
FROM fieldwork.mobile_forms f
WHERE f.id = %(form_id)s::uuid
FOR UPDATE OF f
