-- How children and notes are shown to people.

-- The key of the message in the parent's thread that shows this session's progress.
alter table sessions add column board text;
create index sessions_board on sessions (board) where board is not null;

-- Of these messages, the ones that still change.
create table boards (
    key    text primary key,
    parent text not null
) without rowid;

-- Messages of people that wait for a session, and by what people see that they were taken in: a mark on the message, or
-- another text in our reply to it. A row stands until that is final.
create table marks (
    mail       integer primary key references mail (n) on delete cascade,
    place      text not null,
    message_id text,                       -- of the person's message
    reply      text,                       -- key of the delivery that answered it
    shown      text                        -- the mark that is there
);
