-- Enqueue a job in the caller's transaction; its id.
SELECT homing.defer_job(%(task)s::text, %(args)s::text::jsonb, %(key)s::text, %(at)s::timestamptz)
