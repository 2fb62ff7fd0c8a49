-- Times are wall time in milliseconds since the Unix epoch, given by the caller.
-- Ids are AUTOINCREMENT: a plain rowid is used again after a delete, and run ids fence effects.

-- One row: how often the file was opened. Writing it proves that the file can be written.
CREATE TABLE meta (
    one   INTEGER PRIMARY KEY CHECK (one = 1),
    opens INTEGER NOT NULL
) STRICT;
INSERT INTO meta (one, opens) VALUES (1, 0);

CREATE TABLE repos (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    key     TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    state   TEXT NOT NULL
) STRICT;

CREATE TABLE rulesets (
    hash     TEXT PRIMARY KEY,
    files    TEXT NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    version     INTEGER NOT NULL,
    host        TEXT NOT NULL,
    project     TEXT NOT NULL,
    repo        INTEGER NOT NULL REFERENCES repos (id),
    item        TEXT NOT NULL,
    -- The number that ends the work item id; the next free one is above the highest.
    item_number INTEGER,
    -- Which of the cancelled tasks of its work item id this is, from 1: `ORCH-090~1`.
    item_gen    INTEGER,
    issue       TEXT NOT NULL,
    branch      TEXT NOT NULL,
    title       TEXT NOT NULL,
    phase       TEXT NOT NULL,
    stage       TEXT NOT NULL,
    -- Its stop is being carried out: it still holds its keys, but takes no more events by issue.
    stopping    INTEGER NOT NULL CHECK (stopping IN (0, 1)),
    terminal    INTEGER NOT NULL CHECK (terminal = (phase IN ('done', 'cancelled'))),
    rules       TEXT NOT NULL,
    control     TEXT NOT NULL,
    ledger      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    ended_at    INTEGER,
    CHECK ((item_gen IS NOT NULL) = (phase = 'cancelled'))
) STRICT;
CREATE UNIQUE INDEX tasks_item ON tasks (project, item) WHERE phase <> 'cancelled';
CREATE UNIQUE INDEX tasks_issue ON tasks (project, issue) WHERE phase <> 'cancelled';
CREATE UNIQUE INDEX tasks_branch ON tasks (project, branch) WHERE phase <> 'cancelled' AND branch <> '';
-- When an issue's last task was stopped.
CREATE INDEX tasks_cancelled ON tasks (project, issue, id) WHERE phase = 'cancelled';
CREATE INDEX tasks_by_item ON tasks (item);
CREATE INDEX tasks_number ON tasks (project, item_number);
CREATE INDEX tasks_open ON tasks (id) WHERE terminal = 0;

CREATE TABLE inbox (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    project   TEXT NOT NULL,
    repo      INTEGER NOT NULL REFERENCES repos (id),
    task      INTEGER REFERENCES tasks (id),
    issue     TEXT,
    at        INTEGER NOT NULL,
    cause     INTEGER,
    actor     TEXT NOT NULL,
    kind      TEXT NOT NULL,
    stop      INTEGER NOT NULL CHECK (stop IN (0, 1)),
    body      TEXT NOT NULL,
    dedupe    TEXT,
    state     TEXT NOT NULL CHECK (state IN ('pending', 'applied', 'dropped')),
    closed_at INTEGER,
    why       TEXT
) STRICT;
CREATE UNIQUE INDEX inbox_dedupe ON inbox (dedupe) WHERE dedupe IS NOT NULL;
CREATE INDEX inbox_of_task ON inbox (task, seq) WHERE state = 'pending' AND task IS NOT NULL;
CREATE INDEX inbox_of_issue ON inbox (project, issue, seq) WHERE state = 'pending' AND task IS NULL;
CREATE INDEX inbox_stops ON inbox (seq) WHERE state = 'pending' AND stop = 1;

-- `id` is the order of commits: a follower that reads on from the last id misses nothing.
CREATE TABLE steps (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    seq          INTEGER NOT NULL UNIQUE REFERENCES inbox (seq),
    task         INTEGER REFERENCES tasks (id),
    host         TEXT NOT NULL,
    decided_at   INTEGER NOT NULL,
    stage_before TEXT NOT NULL,
    stage_after  TEXT NOT NULL,
    visit        INTEGER NOT NULL,
    rules        TEXT NOT NULL,
    semantics    INTEGER NOT NULL,
    facts        TEXT NOT NULL,
    decisions    TEXT NOT NULL,
    because      TEXT NOT NULL
) STRICT;
CREATE INDEX steps_of_task ON steps (task, id);

CREATE TABLE jobs (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    host         TEXT NOT NULL,
    task         INTEGER NOT NULL REFERENCES tasks (id),
    -- The event whose step queued it.
    seq          INTEGER NOT NULL,
    visit        INTEGER NOT NULL,
    slot         TEXT NOT NULL,
    kind         TEXT NOT NULL,
    stage        TEXT NOT NULL,
    note         TEXT,
    entry        INTEGER NOT NULL CHECK (entry IN (0, 1)),
    state        TEXT NOT NULL CHECK (state IN ('scheduled', 'queued', 'running', 'done', 'failed', 'cancelled')),
    attempts     INTEGER NOT NULL,
    available_at INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    ended_at     INTEGER,
    why          TEXT,
    -- The run that works on it, or worked on it last.
    run          INTEGER REFERENCES runs (id)
) STRICT;
CREATE UNIQUE INDEX jobs_slot ON jobs (task, visit, slot) WHERE state IN ('scheduled', 'queued', 'running');
CREATE INDEX jobs_scheduled ON jobs (available_at) WHERE state = 'scheduled';
CREATE INDEX jobs_queued ON jobs (id) WHERE state = 'queued';
CREATE INDEX jobs_running ON jobs (id) WHERE state = 'running';
CREATE INDEX jobs_of_task ON jobs (task, visit, slot, id);
CREATE INDEX jobs_state ON jobs (state);

CREATE TABLE runs (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    host       TEXT NOT NULL,
    job        INTEGER NOT NULL REFERENCES jobs (id),
    task       INTEGER NOT NULL REFERENCES tasks (id),
    visit      INTEGER NOT NULL,
    slot       TEXT NOT NULL,
    kind       TEXT NOT NULL,
    stage      TEXT NOT NULL,
    nonce      TEXT NOT NULL,
    checkout   TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('starting', 'running', 'exited', 'ended')),
    pid        INTEGER,
    pid_start  INTEGER,
    boot_id    TEXT,
    start_sha  TEXT,
    claimed_at INTEGER NOT NULL,
    started_at INTEGER,
    exited_at  INTEGER,
    ended_at   INTEGER,
    exit       TEXT,
    "end"      TEXT,
    kill       TEXT,
    usage      TEXT,
    CHECK ((state = 'ended') = ("end" IS NOT NULL))
) STRICT;
CREATE UNIQUE INDEX runs_checkout ON runs (checkout) WHERE state <> 'ended';
CREATE UNIQUE INDEX runs_of_job ON runs (job) WHERE state <> 'ended';
CREATE INDEX runs_open ON runs (id) WHERE state <> 'ended';
CREATE INDEX runs_of_task ON runs (task, id);
CREATE INDEX runs_by_end ON runs (ended_at) WHERE state = 'ended';

CREATE TABLE timers (
    task  INTEGER NOT NULL REFERENCES tasks (id),
    visit INTEGER NOT NULL,
    timer TEXT NOT NULL,
    due   INTEGER NOT NULL,
    PRIMARY KEY (task, visit, timer)
) STRICT, WITHOUT ROWID;
CREATE INDEX timers_due ON timers (due);

CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    project    TEXT NOT NULL,
    repo       INTEGER NOT NULL REFERENCES repos (id),
    task       INTEGER REFERENCES tasks (id),
    issue      TEXT,
    lane       TEXT NOT NULL CHECK (lane IN ('board', 'chat', 'work', 'kill')),
    -- What it is first in, first out with: rows of one lane and one queue.
    queue      TEXT NOT NULL,
    class      TEXT NOT NULL,
    kind       TEXT NOT NULL,
    effect     TEXT NOT NULL,
    -- The event it follows from; 0 when it follows from none.
    seq        INTEGER NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('open', 'done', 'superseded', 'given_up')),
    attempts   INTEGER NOT NULL,
    next_at    INTEGER NOT NULL,
    progress   TEXT,
    last_error TEXT,
    created_at INTEGER NOT NULL,
    ended_at   INTEGER
) STRICT;
CREATE INDEX outbox_queues ON outbox (lane, queue, id) WHERE state = 'open';
CREATE INDEX outbox_due ON outbox (next_at, id) WHERE state = 'open';

CREATE TABLE projections (
    project    TEXT NOT NULL,
    issue      TEXT NOT NULL,
    written    TEXT,
    consumed   TEXT,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (project, issue)
) STRICT, WITHOUT ROWID;

-- A job of a task that is over is never queued, whoever writes it.
CREATE TRIGGER tasks_over AFTER UPDATE OF terminal ON tasks WHEN NEW.terminal = 1
BEGIN
    UPDATE jobs SET state = 'cancelled', ended_at = NEW.ended_at, why = 'the task is over'
        WHERE task = NEW.id AND state IN ('scheduled', 'queued');
    DELETE FROM timers WHERE task = NEW.id;
END;
CREATE TRIGGER jobs_added BEFORE INSERT ON jobs WHEN NEW.state IN ('scheduled', 'queued', 'running')
    AND (SELECT terminal FROM tasks WHERE id = NEW.task) = 1
BEGIN
    SELECT RAISE(ABORT, 'a job of a task that is over is never queued');
END;
CREATE TRIGGER jobs_moved BEFORE UPDATE OF state ON jobs WHEN NEW.state IN ('scheduled', 'queued', 'running')
    AND (SELECT terminal FROM tasks WHERE id = NEW.task) = 1
BEGIN
    SELECT RAISE(ABORT, 'a job of a task that is over is never queued');
END;
-- A run that has ended never changes again: its id fences.
CREATE TRIGGER runs_ended BEFORE UPDATE ON runs WHEN OLD.state = 'ended'
BEGIN
    SELECT RAISE(ABORT, 'a run that has ended never changes');
END;

-- The built-in tracker.
CREATE TABLE issues (
    id          TEXT PRIMARY KEY,
    project     TEXT NOT NULL,
    number      INTEGER NOT NULL,
    title       TEXT NOT NULL,
    description TEXT NOT NULL,
    status      TEXT NOT NULL,
    author      TEXT NOT NULL,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (project, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE issue_labels (
    issue TEXT NOT NULL REFERENCES issues (id),
    label TEXT NOT NULL,
    PRIMARY KEY (issue, label)
) STRICT, WITHOUT ROWID;

CREATE TABLE issue_comments (
    place      INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    issue      TEXT NOT NULL REFERENCES issues (id),
    key        TEXT,
    author     TEXT NOT NULL,
    body       TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX issue_comments_key ON issue_comments (issue, key) WHERE key IS NOT NULL;
CREATE INDEX issue_comments_of ON issue_comments (issue, place);

CREATE TABLE issue_activities (
    place      INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    issue      TEXT NOT NULL REFERENCES issues (id),
    actor      TEXT NOT NULL,
    field      TEXT NOT NULL,
    old        TEXT,
    new        TEXT,
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX issue_activities_of ON issue_activities (issue, place);

-- The built-in forge.
CREATE TABLE changes (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    repo       INTEGER NOT NULL REFERENCES repos (id),
    number     INTEGER NOT NULL,
    branch     TEXT NOT NULL,
    base       TEXT NOT NULL,
    title      TEXT NOT NULL,
    body       TEXT NOT NULL,
    state      TEXT NOT NULL CHECK (state IN ('open', 'merged', 'closed')),
    head       TEXT NOT NULL,
    merged_sha TEXT,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    UNIQUE (repo, number),
    CHECK ((merged_sha IS NOT NULL) = (state = 'merged'))
) STRICT;
CREATE UNIQUE INDEX changes_open ON changes (repo, branch) WHERE state = 'open';
CREATE INDEX changes_branch ON changes (repo, branch, number);

CREATE TABLE change_reviews (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    change     INTEGER NOT NULL REFERENCES changes (id),
    author     TEXT NOT NULL,
    state      TEXT NOT NULL,
    "commit"   TEXT NOT NULL,
    body       TEXT NOT NULL,
    dismissed  INTEGER NOT NULL CHECK (dismissed IN (0, 1)),
    created_at INTEGER NOT NULL
) STRICT;
CREATE INDEX change_reviews_of ON change_reviews (change, id);

CREATE TABLE commit_statuses (
    repo        INTEGER NOT NULL REFERENCES repos (id),
    sha         TEXT NOT NULL,
    context     TEXT NOT NULL,
    state       TEXT NOT NULL,
    description TEXT NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (repo, sha, context)
) STRICT, WITHOUT ROWID;
