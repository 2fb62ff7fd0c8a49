-- What a task waits for. A row that counts no more is ended, never deleted.
CREATE TABLE dependencies (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    task     INTEGER NOT NULL REFERENCES tasks (id),
    -- The task that is waited for; none while what was named is not started. A task is waited for by
    -- its row: once it is over it is never waited for again, whatever becomes of its issue.
    needs    INTEGER REFERENCES tasks (id),
    -- What was named: a work item id, or the tracker's id of an issue of the same project.
    item     TEXT,
    issue    TEXT,
    source   TEXT    NOT NULL CHECK (source IN ('relation', 'text', 'command')),
    who      TEXT    NOT NULL,
    since    INTEGER NOT NULL,
    ended_at INTEGER,
    -- `issue` when the issue names it no more; else the person who took it away.
    ended_by TEXT,
    CHECK ((item IS NULL) <> (issue IS NULL)),
    CHECK (needs IS NULL OR needs <> task),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
) STRICT;
CREATE UNIQUE INDEX dependencies_open ON dependencies (task, source, COALESCE(item, ''), COALESCE(issue, '')) WHERE ended_at IS NULL;
CREATE INDEX dependencies_unmet ON dependencies (item, issue) WHERE ended_at IS NULL AND needs IS NULL;
CREATE INDEX dependencies_of ON dependencies (task, id);

-- Every freeze and thaw of a repository, with what it was decided on.
CREATE TABLE freezes (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    repo     INTEGER NOT NULL REFERENCES repos (id),
    what     TEXT    NOT NULL CHECK (what IN ('set', 'changed', 'lifted')),
    level    TEXT    NOT NULL,
    reason   TEXT    NOT NULL,
    who      TEXT    NOT NULL,
    at       INTEGER NOT NULL,
    evidence TEXT    NOT NULL,
    -- The event whose step decided it; none where a person did it directly.
    seq      INTEGER
) STRICT;
CREATE INDEX freezes_of ON freezes (repo, id);
CREATE TRIGGER freezes_kept BEFORE UPDATE ON freezes
BEGIN
    SELECT RAISE(ABORT, 'the history of freezes is never changed');
END;
CREATE TRIGGER freezes_stay BEFORE DELETE ON freezes
BEGIN
    SELECT RAISE(ABORT, 'the history of freezes is never deleted');
END;
