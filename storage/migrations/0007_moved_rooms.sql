-- Rooms that got another id, for what still names them by the old one: the configuration, and events from before.

create table moved_rooms (
    room     text primary key,   -- place of the room by its old id
    moved_to text not null       -- place of the room as it is now
) without rowid;
