-- How long the chain of messages is by which sessions caused one another to act, since a person (or a monitor) began it.

alter table mail add column hops integer not null default 0;  -- 0: nothing of a session led to it
alter table turns add column hops integer not null default 0; -- of what it was begun with; back to 0 when a person writes
