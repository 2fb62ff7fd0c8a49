-- How firmly a run is held: what was promised about ending it.
ALTER TABLE runs ADD COLUMN containment TEXT CHECK (containment IN ('pidns', 'cgroup', 'tagged'));

-- The agent command that a run was claimed for, and the limits of its breaker at that time.
ALTER TABLE runs ADD COLUMN command TEXT;
ALTER TABLE runs ADD COLUMN breaker_failures INTEGER;
ALTER TABLE runs ADD COLUMN breaker_pause INTEGER;

-- One row for each command that ever failed by weather. Open until `open_until`, half open from then on.
CREATE TABLE breakers (
    command     TEXT PRIMARY KEY,
    streak      INTEGER NOT NULL,
    open_since  INTEGER,
    open_until  INTEGER,
    open_why    TEXT,
    limit_since INTEGER,
    limit_until INTEGER,
    limit_why   TEXT,
    CHECK ((open_since IS NULL) = (open_until IS NULL) AND (open_why IS NULL) = (open_until IS NULL)),
    CHECK ((limit_since IS NULL) = (limit_until IS NULL) AND (limit_why IS NULL) = (limit_until IS NULL))
) STRICT, WITHOUT ROWID;

-- What agents cost, summed up where it is counted: by task, and by project and day (days since the
-- epoch, UTC). A claim counts the run, its end the money.
CREATE TABLE spent_tasks (
    task    INTEGER PRIMARY KEY REFERENCES tasks (id),
    runs    INTEGER NOT NULL,
    usd     REAL    NOT NULL,
    -- The run that cost most since an operator allowed more.
    dearest     INTEGER REFERENCES runs (id),
    dearest_usd REAL NOT NULL
) STRICT;
CREATE TABLE spent_days (
    project TEXT    NOT NULL,
    day     INTEGER NOT NULL,
    runs    INTEGER NOT NULL,
    usd     REAL    NOT NULL,
    PRIMARY KEY (project, day)
) STRICT, WITHOUT ROWID;
INSERT INTO spent_tasks (task, runs, usd, dearest, dearest_usd)
    SELECT task, COUNT(*), COALESCE(SUM(json_extract(usage, '$.cost_usd')), 0.0), NULL, 0.0
    FROM runs WHERE kind = 'agent' GROUP BY task;
INSERT INTO spent_days (project, day, runs, usd)
    SELECT t.project, r.claimed_at / 86400000, COUNT(*), COALESCE(SUM(json_extract(r.usage, '$.cost_usd')), 0.0)
    FROM runs r JOIN tasks t ON t.id = r.task WHERE r.kind = 'agent' GROUP BY 1, 2;

-- An operator let a task go on: what it may cost and run beyond the rules' budget, and from when
-- its failures are counted anew.
CREATE TABLE allowances (
    id   INTEGER PRIMARY KEY AUTOINCREMENT,
    task INTEGER NOT NULL REFERENCES tasks (id),
    usd  REAL    NOT NULL,
    runs INTEGER NOT NULL,
    who  TEXT    NOT NULL,
    why  TEXT    NOT NULL,
    at   INTEGER NOT NULL
) STRICT;
CREATE INDEX allowances_of ON allowances (task, id);

-- What is wrong now, told once when it began: a row goes when it is over.
CREATE TABLE notices (
    key   TEXT PRIMARY KEY,
    task  INTEGER NOT NULL REFERENCES tasks (id),
    text  TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
