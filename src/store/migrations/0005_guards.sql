-- What no program may do to these rows, whatever its code says. Triggers are written differently
-- for PostgreSQL, so this file has nothing else. A test holds `items_move` to `Status::after`.

CREATE TRIGGER decisions_stand BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'a decision is never changed'); END;
CREATE TRIGGER decisions_stay BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'a decision is never deleted'); END;
CREATE TRIGGER decisions_on_what_stands BEFORE INSERT ON decisions
WHEN NOT EXISTS (SELECT 1 FROM items i WHERE i.id = NEW.item
                 AND i.version = NEW.version AND i.revision = NEW.revision)
BEGIN SELECT RAISE(ABORT, 'a decision is made on the item as it stands'); END;

CREATE TRIGGER events_stand BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never changed'); END;
CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'an event is never deleted'); END;
CREATE TRIGGER events_of_the_past BEFORE INSERT ON events
WHEN NEW.version > (SELECT version FROM items WHERE id = NEW.item)
BEGIN SELECT RAISE(ABORT, 'an event has a version that its item has reached'); END;

CREATE TRIGGER items_stay BEFORE DELETE ON items
BEGIN SELECT RAISE(ABORT, 'an item is never deleted'); END;
CREATE TRIGGER items_open BEFORE INSERT ON items
WHEN NEW.status <> 'pending' OR NEW.version <> 1
BEGIN SELECT RAISE(ABORT, 'an item begins pending, at version 1'); END;
CREATE TRIGGER items_keep BEFORE UPDATE OF id, record, arrived_at ON items
WHEN NEW.id <> OLD.id OR NEW.record <> OLD.record OR NEW.arrived_at <> OLD.arrived_at
BEGIN SELECT RAISE(ABORT, 'an item keeps its number, record and arrival'); END;
CREATE TRIGGER items_rise BEFORE UPDATE OF version ON items
WHEN NEW.version < OLD.version
BEGIN SELECT RAISE(ABORT, 'the version of an item only rises'); END;
CREATE TRIGGER items_move BEFORE UPDATE OF status ON items
WHEN OLD.status || ' ' || NEW.status NOT IN (
    'pending pending', 'pending held', 'pending approved', 'pending rejected', 'pending withdrawn', 'pending expired',
    'held pending', 'held held', 'held approved', 'held rejected', 'held withdrawn',
    'approved pending', 'approved rejected',
    'rejected pending', 'rejected approved',
    'withdrawn pending',
    'expired pending')
BEGIN SELECT RAISE(ABORT, 'an item does not move like that'); END;
CREATE TRIGGER items_by_decision BEFORE UPDATE OF status ON items
WHEN NEW.status IN ('held', 'approved', 'rejected') AND NOT EXISTS (
    SELECT 1 FROM decisions d WHERE d.item = OLD.id AND d.version = OLD.version AND NEW.version > OLD.version
    AND d.kind = CASE NEW.status WHEN 'held' THEN 'hold' WHEN 'approved' THEN 'approve' ELSE 'reject' END)
BEGIN SELECT RAISE(ABORT, 'an item is held, approved or rejected by a decision'); END;

CREATE TRIGGER write_backs_end BEFORE UPDATE OF status ON write_backs
WHEN OLD.status <> 'pending'
BEGIN SELECT RAISE(ABORT, 'a write-back ends once'); END;
CREATE TRIGGER write_backs_stay BEFORE DELETE ON write_backs
BEGIN SELECT RAISE(ABORT, 'a write-back is never deleted'); END;

CREATE TRIGGER mails_stand BEFORE UPDATE OF message_id, recipient, bytes ON mails
BEGIN SELECT RAISE(ABORT, 'a mail is never rewritten'); END;
CREATE TRIGGER mails_stay BEFORE DELETE ON mails
BEGIN SELECT RAISE(ABORT, 'a mail is never deleted'); END;
CREATE TRIGGER mails_sent BEFORE UPDATE OF status ON mails
WHEN NEW.status = 'sent' AND (NEW.sent_at IS NULL OR NEW.answer IS NULL)
BEGIN SELECT RAISE(ABORT, 'a sent mail has a time and an answer, or the file that it is in'); END;
CREATE TRIGGER mails_end BEFORE UPDATE OF status ON mails
WHEN OLD.status = 'sent' OR OLD.held IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a mail that was sent or is held is never sent again'); END;
