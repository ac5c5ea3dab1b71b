-- The rows of an upload's variants go; whoever locked the upload removes the files that they name.
DELETE FROM homing.image_variants WHERE media_id = %(key)s RETURNING key
