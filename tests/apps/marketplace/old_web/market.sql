-- What is in the market when each visit begins.
INSERT INTO homing.media (key, user_id, filename, content_type) VALUES ('old/cleo.jpg', %(cleo)s, 'cleo.jpg', 'image/jpeg');
INSERT INTO marketplace.images (id, user_id, key, filename, content_type, size_bytes)
VALUES ('00000000-0000-4000-8000-0000000000a1', %(cleo)s, 'old/cleo.jpg', 'cleo.jpg', 'image/jpeg', 1000);
INSERT INTO marketplace.profiles (id, user_id, kind, name, headline, bio, skills, hourly_rate_cents, avatar_id,
                                  profile_views, total_earnings_cents, created_at, updated_at)
VALUES ('00000000-0000-4000-8000-0000000000b1', %(cleo)s, 'client', 'Cleo & Co', NULL, 'We grow.', '{}', NULL,
        '00000000-0000-4000-8000-0000000000a1', 3, 0, '2026-01-01 10:00Z', '2026-01-01 10:00Z'),
       ('00000000-0000-4000-8000-0000000000b2', %(fay)s, 'freelancer', 'Fay', 'Executive assistant', 'Calendars, travel, inboxes.',
        '{Excel,Travel}', 2500, NULL, 12, 480000, '2026-01-02 10:00Z', '2026-01-03 10:00Z');
INSERT INTO marketplace.jobs (id, client_id, title, description, skills, budget_kind, budget_min_cents, budget_max_cents,
                              image_id, created_at, updated_at)
VALUES ('00000000-0000-4000-8000-0000000000c1', %(cleo)s, 'Inbox for a dentist', 'Answer patients within the hour.',
        '{Email,Excel}', 'hourly', 1000, 2000, NULL, '2026-02-01 08:00Z', '2026-02-01 08:00Z'),
       ('00000000-0000-4000-8000-0000000000c2', %(cleo)s, 'Travel for a band', 'Flights, vans and hotels for 20 shows.',
        '{Travel}', 'fixed', NULL, 150000, '00000000-0000-4000-8000-0000000000a1', '2026-02-02 08:00Z', '2026-02-02 08:00Z'),
       ('00000000-0000-4000-8000-0000000000c3', %(cleo)s, 'Minutes of a board', '', '{}', 'fixed', NULL, NULL, NULL,
        '2026-02-03 08:00Z', '2026-02-03 08:00Z');
INSERT INTO marketplace.proposals (id, job_id, client_id, freelancer_id, cover_letter, amount_cents, estimated_days,
                                   created_at, updated_at)
VALUES ('00000000-0000-4000-8000-0000000000d1', '00000000-0000-4000-8000-0000000000c2', %(cleo)s, %(fay)s,
        'I have done this for three bands.', 120000, 30, '2026-02-04 08:00Z', '2026-02-04 08:00Z');
INSERT INTO marketplace.saved_jobs (id, user_id, job_id, note, created_at)
VALUES ('00000000-0000-4000-8000-0000000000e1', %(fay)s, '00000000-0000-4000-8000-0000000000c1', NULL, '2026-02-05 08:00Z');
INSERT INTO marketplace.messages (id, sender_id, recipient_id, job_id, content, created_at, updated_at)
VALUES ('00000000-0000-4000-8000-0000000000f1', %(cleo)s, %(fay)s, '00000000-0000-4000-8000-0000000000c2', 'Do you do vans?',
        '2026-02-06 08:00Z', '2026-02-06 08:00Z');
