-- Resolved: what was decided, by whom, and what the row became.
UPDATE homing.conflicts SET resolution = 'resolved', resolution_action = %(action)s::text::homing.resolution_action,
    resolved_by = %(user)s, resolved_at = %(now)s, notes = %(notes)s, resolved_payload = %(payload)s::text::jsonb,
    resolved_version = %(version)s
WHERE id = %(conflict)s
