-- Boards outside that a project has followed, one row each time it began to follow another: since when (by our clock), and
-- when the board was last heard of. Without a name: the one that is followed when this is first read.
CREATE TABLE boards (
    id      INTEGER PRIMARY KEY,
    project TEXT    NOT NULL,
    server  TEXT    NOT NULL,
    board   TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    heard   INTEGER
) STRICT;
CREATE INDEX boards_of ON boards (project, id);

-- Of before only this is left: the first that is known of a project, less an hour, for so long Plane repeats a delivery.
INSERT INTO boards (project, server, board, since, heard)
SELECT project, '', '', MAX(MIN(at) - 3600000, 0), MAX(heard) FROM (
    SELECT project, created_at AS at, NULL AS heard FROM tasks WHERE NOT EXISTS (SELECT 1 FROM issues i WHERE i.id = tasks.issue)
    UNION ALL
    SELECT project, changed_at, NULL FROM projections WHERE NOT EXISTS (SELECT 1 FROM issues i WHERE i.id = projections.issue)
    UNION ALL
    SELECT j.value, d.at, d.at FROM deliveries d, json_each(d.projects) j WHERE d.peer = 'plane'
) GROUP BY project;
