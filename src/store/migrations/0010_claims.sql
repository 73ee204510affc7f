-- The reviewer whom an item was handed to, and when; and whether a person chose its queue, so that a
-- re-score leaves it there.
ALTER TABLE items ADD COLUMN assigned_to TEXT;
ALTER TABLE items ADD COLUMN assigned_at INTEGER;
ALTER TABLE items ADD COLUMN queue_by_hand INTEGER NOT NULL DEFAULT 0 CHECK (queue_by_hand IN (0, 1));

-- Few are in someone's hands: they are found without looking at all.
CREATE INDEX items_claimed ON items (claimed_by) WHERE claimed_by IS NOT NULL;
CREATE INDEX items_assigned ON items (assigned_to) WHERE assigned_to IS NOT NULL;
