-- A form that was published at some time, by its id or its code: its versions stay readable when it is withdrawn.
SELECT f.id
FROM fieldwork.mobile_forms f
WHERE (f.id = %(form_id)s::uuid OR f.code = %(form)s)
  AND f.schema IS NOT NULL  -- when worker
