-- What a freelancer earned, in the currency of their profile; other currencies cannot be added to it.
UPDATE marketplace.profiles SET total_earnings_cents = total_earnings_cents + %(amount)s
WHERE user_id = %(freelancer)s AND currency = %(currency)s
