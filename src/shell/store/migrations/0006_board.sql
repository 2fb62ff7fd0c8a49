-- What a board outside was last known to hold, and up to which moment, by its own clock, its
-- changes and comments were looked at.
ALTER TABLE projections ADD COLUMN stands TEXT;
ALTER TABLE projections ADD COLUMN seen INTEGER;
ALTER TABLE projections ADD COLUMN heard INTEGER;
UPDATE projections SET stands = COALESCE(written, consumed);
