-- How firmly a run is held: what was promised about ending it.
ALTER TABLE runs ADD COLUMN containment TEXT CHECK (containment IN ('pidns', 'cgroup', 'tagged'));
