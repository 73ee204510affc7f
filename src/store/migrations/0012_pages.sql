-- What pages of queues and of history are read by: each order that a list has is an index, so that a
-- page costs the same wherever it stands.

-- The total of the record's assessment, kept where lists are sorted by it.
ALTER TABLE items ADD COLUMN score INTEGER NOT NULL DEFAULT 0;
UPDATE items SET score = coalesce((SELECT a.total FROM assessments a WHERE a.record = items.record), 0);

-- The status is there for counts of what is pending.
CREATE INDEX items_by_arrival ON items (queue, arrived_at, id, status)
    WHERE status IN ('pending', 'held');
CREATE INDEX items_by_score ON items (queue, score DESC, id) WHERE status IN ('pending', 'held');
-- What is never due is last.
CREATE INDEX items_by_due ON items (queue, coalesce(due_at, 9223372036854775807), id, status)
    WHERE status IN ('pending', 'held');
CREATE INDEX items_held ON items (queue, status) WHERE status = 'held';
CREATE INDEX items_arrived ON items (arrived_at);

CREATE INDEX decisions_by_time ON decisions (at, id, kind);
CREATE INDEX decisions_by_actor ON decisions (actor, at, id);
