-- What a freelancer earned, or gave back, in the currency of their profile; other currencies cannot be added to it. Given
-- back in another currency than it was earned in, a total would fall below nothing.
UPDATE marketplace.profiles SET total_earnings_cents = greatest(total_earnings_cents + %(amount)s::bigint, 0)
WHERE user_id = %(freelancer)s AND currency = %(currency)s
