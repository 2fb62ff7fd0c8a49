-- What trackers and forges told us, byte for byte: written down before they were answered.
CREATE TABLE deliveries (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    peer      TEXT    NOT NULL CHECK (peer IN ('plane', 'gitea')),
    event     TEXT    NOT NULL,
    -- The projects whose secret it was signed with, as a JSON list.
    projects  TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    -- What makes two deliveries the same: their content. Ids of deliveries change with each try.
    digest    TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    state     TEXT    NOT NULL CHECK (state IN ('pending', 'done', 'dropped')),
    attempts  INTEGER NOT NULL,
    due       INTEGER NOT NULL,
    -- What came of it, or why it has to wait.
    why       TEXT    NOT NULL,
    closed_at INTEGER,
    CHECK ((closed_at IS NULL) = (state = 'pending'))
) STRICT;
CREATE UNIQUE INDEX deliveries_digest ON deliveries (peer, digest);
CREATE INDEX deliveries_due ON deliveries (due) WHERE state = 'pending';
CREATE INDEX deliveries_closed ON deliveries (closed_at) WHERE state <> 'pending';
