-- The end of an image's waiting: from here on its variants are handed out.
UPDATE homing.media SET image_state = %(state)s, image_problem = %(problem)s WHERE key = %(key)s
