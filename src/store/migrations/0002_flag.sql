-- What the key of `published` says in the file: 0, 1, or NULL where it is not there or is neither.
-- `published` is what the file reads as, which a file without the key has too.
ALTER TABLE records ADD COLUMN flag INTEGER CHECK (flag IN (0, 1));

-- Every file is read once more by the next pass, so that the flag is known of old records too.
UPDATE sources SET reading = NULL;
