-- One row: the boot in which times were last written, and what the wall clock was ahead of the clock
-- of that boot then, in milliseconds. Whether somebody set it since shows in the difference.
CREATE TABLE clock (
    one     INTEGER PRIMARY KEY CHECK (one = 1),
    boot_id TEXT NOT NULL,
    ahead   INTEGER NOT NULL
) STRICT;
