-- The message that is a task's card in a room of the chat.
CREATE TABLE chat_cards (
    task       INTEGER NOT NULL REFERENCES tasks (id),
    room       TEXT NOT NULL,
    message    INTEGER NOT NULL,
    -- Digest of what it shows.
    shown      TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (task, room)
) STRICT, WITHOUT ROWID;

-- Groups that have become other rooms.
CREATE TABLE chat_rooms (
    room     TEXT PRIMARY KEY,
    moved_to TEXT NOT NULL,
    moved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
