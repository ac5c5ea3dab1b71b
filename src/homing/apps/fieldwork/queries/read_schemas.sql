-- Schemas by version id, for versions that are not compiled in this process yet.
SELECT v.id, v.schema FROM fieldwork.form_versions v WHERE v.id = ANY (%(ids)s::uuid[])
