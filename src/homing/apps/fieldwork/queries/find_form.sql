-- A form by its id or its code, as far as the caller sees it.
SELECT f.id
FROM fieldwork.mobile_forms f
WHERE (f.id = %(form_id)s::uuid OR f.code = %(form)s)
  AND f.published  -- when worker
