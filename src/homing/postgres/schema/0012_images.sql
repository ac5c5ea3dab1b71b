-- Images in smaller sizes and without what a camera writes beside the pixels. A job makes them (homing/media/variants.py),
-- enqueued in the transaction that settles the upload.
ALTER TABLE homing.media
    -- As the upload asked: the file goes out as it came in, with the place where it was taken.
    ADD COLUMN keep_metadata boolean NOT NULL DEFAULT false,
    -- NULL: no image that can be read here, or settled before there were variants.
    ADD COLUMN image_state text CHECK (image_state IN ('waiting', 'made', 'broken')),
    ADD COLUMN image_problem text,
    ADD CHECK ((image_state = 'broken') = (image_problem IS NOT NULL) OR image_state IS NULL);

-- The row comes before the file and goes after it, so that every file of a store is known: while its image is waiting,
-- a row may have none yet. Does not cascade: the sweep has to know which files to remove.
CREATE TABLE homing.image_variants (
    media_id text NOT NULL REFERENCES homing.media (key),
    kind text NOT NULL CHECK (kind IN ('thumb', 'medium', 'original')),
    format text NOT NULL CHECK (format IN ('jpeg', 'png', 'webp', 'avif', 'gif')),
    width integer NOT NULL CHECK (width > 0),
    height integer NOT NULL CHECK (height > 0),
    bytes bigint NOT NULL CHECK (bytes > 0),
    key text NOT NULL UNIQUE,
    created timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (media_id, kind, format)
);
