-- The members that any version of a form declares: the columns of its CSV.
SELECT field.name
FROM fieldwork.mobile_forms f
JOIN fieldwork.form_versions v ON v.form_id = f.id
CROSS JOIN LATERAL jsonb_object_keys(
    CASE WHEN jsonb_typeof(v.schema -> 'properties') = 'object' THEN v.schema -> 'properties' ELSE '{}' END
) AS field (name)
WHERE f.id = %(form_id)s::uuid OR f.code = %(form)s
GROUP BY field.name
ORDER BY min(v.published_at), field.name
