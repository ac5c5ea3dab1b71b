-- Variants that are about to be written: the row comes first, so that no file is without one.
INSERT INTO homing.image_variants (media_id, kind, format, width, height, bytes, key)
SELECT %(media_id)s, v.kind, v.format, v.width, v.height, v.bytes, v.key
FROM unnest(%(kinds)s::text[], %(formats)s::text[], %(widths)s::integer[], %(heights)s::integer[], %(sizes)s::bigint[],
            %(keys)s::text[]) AS v (kind, format, width, height, bytes, key)
