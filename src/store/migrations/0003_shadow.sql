-- What rules and queues in shadow mode would have done to each record, replaced whenever it is
-- assessed. Of a queue the points are 0.
CREATE TABLE shadow_hits (
    record INTEGER NOT NULL REFERENCES records (id),
    rule   TEXT NOT NULL,        -- a rule, or `queue NAME`
    points INTEGER NOT NULL,
    PRIMARY KEY (record, rule)
) STRICT;

-- What was assessed before is assessed again, so that none of it is left out here.
UPDATE assessments SET flips_at = 0;
