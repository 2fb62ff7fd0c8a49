-- Entries of an issue's history on its tracker that were examined, as a JSON list: each is a signal once at most.

ALTER TABLE projections ADD COLUMN examined TEXT;

-- What was shown last of an issue, however much was shown of others.
CREATE INDEX outbox_statuses ON outbox (project, issue, id) WHERE kind = 'status';
