-- How a file is being written: the name beside it that the new bytes have until the exchange and the
-- old ones after, and the hashes of both. NULL unless a write is under way, or was cut short; `new`
-- stays, so that our own bytes are known.
ALTER TABLE write_backs ADD COLUMN aside TEXT;
ALTER TABLE write_backs ADD COLUMN old BLOB;
ALTER TABLE write_backs ADD COLUMN new BLOB;
CREATE INDEX write_backs_under_way ON write_backs (id) WHERE aside IS NOT NULL;

-- Whether its file system cannot exchange two names.
ALTER TABLE sources ADD COLUMN weak INTEGER NOT NULL DEFAULT 0 CHECK (weak IN (0, 1));

CREATE INDEX write_backs_due ON write_backs (id) WHERE status = 'pending';
