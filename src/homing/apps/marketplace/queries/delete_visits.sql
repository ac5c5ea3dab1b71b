-- Visits of days that are over: nobody can be counted twice for them any more.
DELETE FROM marketplace.profile_visits v WHERE v.counted AND v.visited_on < %(today)s::date - 1
