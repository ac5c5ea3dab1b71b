-- Which of these images the user made.
SELECT i.id FROM marketplace.images i WHERE i.id = ANY (%(ids)s) AND i.user_id = %(user)s
