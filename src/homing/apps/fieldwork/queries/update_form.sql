-- Change a form's name, its draft, or whether devices are offered what was published. NULL leaves a column as it is.
UPDATE fieldwork.mobile_forms f
SET name = coalesce(%(name)s, f.name),
    draft_schema = coalesce(%(schema)s::jsonb, f.draft_schema),
    draft = f.draft OR %(schema)s::jsonb IS NOT NULL,
    published = coalesce(%(published)s::boolean, f.published)
WHERE f.id = %(form_id)s::uuid
