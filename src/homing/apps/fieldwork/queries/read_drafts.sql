-- The drafts of the forms of one page.
SELECT f.id, f.draft_schema::text FROM fieldwork.mobile_forms f WHERE f.id = ANY (%(ids)s::uuid[])
