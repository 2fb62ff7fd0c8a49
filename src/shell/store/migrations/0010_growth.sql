-- What is read often does not grow with history.

-- The jobs of one agent for one task, newest first, whatever the visit.
CREATE INDEX jobs_of_slot ON jobs (task, slot, id);

-- How many jobs have ended in which way: they are most of all jobs, and are never counted again.
CREATE TABLE ended_jobs (
    state TEXT PRIMARY KEY CHECK (state IN ('done', 'failed', 'cancelled')),
    jobs  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO ended_jobs (state, jobs)
    SELECT s.column1, (SELECT COUNT(*) FROM jobs WHERE state = s.column1) FROM (VALUES ('done'), ('failed'), ('cancelled')) s;
CREATE TRIGGER jobs_added_ended AFTER INSERT ON jobs WHEN NEW.state IN ('done', 'failed', 'cancelled')
BEGIN
    UPDATE ended_jobs SET jobs = jobs + 1 WHERE state = NEW.state;
END;
CREATE TRIGGER jobs_moved_ended AFTER UPDATE OF state ON jobs WHEN OLD.state <> NEW.state
    AND (OLD.state IN ('done', 'failed', 'cancelled') OR NEW.state IN ('done', 'failed', 'cancelled'))
BEGIN
    UPDATE ended_jobs SET jobs = jobs + (state = NEW.state) - (state = OLD.state) WHERE state IN (OLD.state, NEW.state);
END;
CREATE TRIGGER jobs_removed_ended AFTER DELETE ON jobs WHEN OLD.state IN ('done', 'failed', 'cancelled')
BEGIN
    UPDATE ended_jobs SET jobs = jobs - 1 WHERE state = OLD.state;
END;
DROP INDEX jobs_state;
