-- The form versions a batch of submissions names; without a name, the form's current one. Only forms that were published
-- are found, with or without a version of that name.
SELECT named.n::integer - 1, version.id, version.form_version
FROM unnest(%(forms)s::uuid[], %(versions)s::text[]) WITH ORDINALITY AS named (form_id, version, n)
JOIN fieldwork.mobile_forms form ON form.id = named.form_id AND form.version IS NOT NULL
LEFT JOIN fieldwork.form_versions version
    ON version.form_id = form.id AND version.form_version = coalesce(named.version, form.version)
