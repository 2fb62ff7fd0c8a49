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
