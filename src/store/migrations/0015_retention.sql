-- What may be forgotten once it is old: each view names rows that nothing needs any more, and their
-- age. The guards let nothing else go; how old it must be is for the rules to say.

-- Of what is open nothing. Of what is closed the newest event stays, and the newest that moved it,
-- that brought it to wait, and that revised it: they say how it came to be as it is, how long it may
-- wait when it is taken up again, and what was decided and written on its present revision.
CREATE VIEW spent_events AS
SELECT e.id, e.at FROM events e JOIN items i ON i.id = e.item
WHERE i.status NOT IN ('pending', 'held')
AND EXISTS (SELECT 1 FROM events n WHERE n.item = e.item AND n.id > e.id AND CASE
    WHEN e.kind = 'revised' THEN n.kind = 'revised'
    WHEN e.kind IN ('queued', 'back', 'reopened', 'hold_over')
        THEN n.kind IN ('queued', 'back', 'reopened', 'hold_over', 'revised')
    WHEN e.kind IN ('approved', 'rejected', 'held', 'gone', 'outside', 'expired')
        THEN n.kind IN ('approved', 'rejected', 'held', 'gone', 'outside', 'expired',
                        'queued', 'back', 'reopened', 'hold_over', 'revised')
    ELSE TRUE END);

-- Of an item that waits, or may be back as it was, what a later mail to the same reviewer told again,
-- but for how late its present version was called: that is told once. Of any other item all, so long
-- after the last that happened to it (`rests_at`).
CREATE VIEW spent_tellings AS
SELECT l.mail, l.item, coalesce(m.sent_at, m.claimed_at, m.created_at) AS at,
    CASE WHEN i.status IN ('pending', 'held', 'withdrawn') THEN m.created_at
         ELSE (SELECT e.at FROM events e WHERE e.item = l.item ORDER BY e.id DESC LIMIT 1) END AS rests_at
FROM mail_log l JOIN mails m ON m.id = l.mail JOIN items i ON i.id = l.item
WHERE m.status IN ('sent', 'failed')
AND (i.status NOT IN ('pending', 'held', 'withdrawn')
     OR (l.escalation = 0 OR l.version < i.version)
        AND EXISTS (SELECT 1 FROM mail_log x JOIN mails n ON n.id = x.mail
                    WHERE x.item = l.item AND x.mail > l.mail
                    AND n.recipient = m.recipient AND n.status = m.status));

-- Mails of which nothing is needed that they told. The newest of each kind to an address stays: it
-- says when she was last written to and whether that came through, and keeps numbers from being given
-- out twice.
CREATE VIEW spent_mails AS
SELECT m.id, coalesce(m.sent_at, m.claimed_at, m.created_at) AS at FROM mails m
WHERE m.status IN ('sent', 'failed')
AND NOT EXISTS (SELECT 1 FROM mail_log l WHERE l.mail = m.id)
AND EXISTS (SELECT 1 FROM mails n WHERE n.recipient = m.recipient AND n.id > m.id
            AND n.kind = m.kind AND n.status = m.status);

-- Write-backs that a later one repeats: of the same decision, into the same file, with the same end.
-- One that has changed the file stays, too, unless the two right before it changed the same: then it
-- adds nothing to what taking the decision back restores. Since what we wrote is known by its bytes,
-- too, they made the same bytes, or no file has those that it made.
CREATE VIEW spent_write_backs AS
SELECT w.id, w.closed_at AS at FROM write_backs w
WHERE w.status <> 'pending' AND w.aside IS NULL AND w.verb <> 'reopen'
AND EXISTS (SELECT 1 FROM write_backs n
            WHERE n.item = w.item AND n.id > w.id AND n.source = w.source AND n.path = w.path
            AND n.decision = w.decision AND n.verb = w.verb AND n.status = w.status
            AND coalesce(n.undo, '') = coalesce(w.undo, ''))
AND (w.undo IS NULL OR w.status = 'done' AND 2 = (
    SELECT count(*) FROM
        (SELECT x.source, x.path, x.decision, x.verb, x.status, x.undo, x.new FROM write_backs x
         WHERE x.item = w.item AND x.id < w.id AND (x.status = 'done' OR x.undo IS NOT NULL)
         ORDER BY x.id DESC LIMIT 2) AS b
    WHERE b.source = w.source AND b.path = w.path AND b.decision = w.decision
    AND b.verb = w.verb AND b.status = w.status AND b.undo = w.undo
    AND (b.new = w.new
         OR NOT EXISTS (SELECT 1 FROM items i JOIN locations l ON l.record = i.record
                        WHERE i.id = w.item AND l.raw = w.new)
            AND NOT EXISTS (SELECT 1 FROM items i JOIN moved m ON m.record = i.record
                            WHERE i.id = w.item AND m.raw = w.new))));

DROP TRIGGER events_stay;
CREATE TRIGGER events_stay BEFORE DELETE ON events
WHEN NOT EXISTS (SELECT 1 FROM spent_events s WHERE s.id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'an event that is needed is never deleted'); END;

CREATE TRIGGER tellings_stay BEFORE DELETE ON mail_log
WHEN NOT EXISTS (SELECT 1 FROM spent_tellings s WHERE s.mail = OLD.mail AND s.item = OLD.item)
BEGIN SELECT RAISE(ABORT, 'what was told of an item is never deleted while that is needed'); END;

DROP TRIGGER mails_stay;
CREATE TRIGGER mails_stay BEFORE DELETE ON mails
WHEN NOT EXISTS (SELECT 1 FROM spent_mails s WHERE s.id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'a mail that is needed is never deleted'); END;
-- The text of one that will not be sent any more may be dropped, and is never replaced.
DROP TRIGGER mails_stand;
CREATE TRIGGER mails_stand BEFORE UPDATE OF message_id, recipient, bytes ON mails
WHEN NEW.message_id <> OLD.message_id OR NEW.recipient <> OLD.recipient
    OR length(NEW.bytes) > 0 OR OLD.status NOT IN ('sent', 'failed')
BEGIN SELECT RAISE(ABORT, 'a mail is never rewritten'); END;

DROP TRIGGER write_backs_stay;
CREATE TRIGGER write_backs_stay BEFORE DELETE ON write_backs
WHEN NOT EXISTS (SELECT 1 FROM spent_write_backs s WHERE s.id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'a write-back is never deleted before a later one repeats it'); END;
