-- What is counted by queue and status is counted from here, and not from all that items are.
CREATE INDEX items_by_status ON items (queue, status);
