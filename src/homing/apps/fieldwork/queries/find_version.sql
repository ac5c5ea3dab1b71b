-- One version of a form, by the version's name.
SELECT v.id FROM fieldwork.form_versions v WHERE v.form_id = %(form_id)s::uuid AND v.form_version = %(version)s
