-- The run that was let through last to try a half open command out. Found by its id: the times of runs
-- and breakers do not move alike when somebody sets the clock.
ALTER TABLE breakers ADD COLUMN probe INTEGER;
UPDATE breakers SET probe = (SELECT MAX(r.id) FROM runs r
    WHERE r.state <> 'ended' AND r.command = breakers.command AND r.claimed_at >= breakers.open_until);
