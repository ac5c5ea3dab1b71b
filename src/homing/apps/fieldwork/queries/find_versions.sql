-- The form versions a batch of submissions names. A form is named by its id or its code; without a version, its
-- current one is meant. The two ways in are two index probes a name, so the size of the batch does not matter.
SELECT named.n::integer - 1, form.id, version.id, version.form_version
FROM unnest(%(ids)s::uuid[], %(codes)s::text[], %(versions)s::text[]) WITH ORDINALITY AS named (id, code, version, n)
JOIN LATERAL (
    SELECT f.id, f.version FROM fieldwork.mobile_forms f WHERE f.id = named.id
    UNION ALL
    SELECT f.id, f.version FROM fieldwork.mobile_forms f WHERE f.code = named.code
) AS form ON true
LEFT JOIN fieldwork.form_versions version
    ON version.form_id = form.id AND version.form_version = coalesce(named.version, form.version)
