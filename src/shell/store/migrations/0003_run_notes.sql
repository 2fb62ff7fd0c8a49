-- What an agent tells of itself: model, session, turns, refused tools. JSON.
ALTER TABLE runs ADD COLUMN notes TEXT;
