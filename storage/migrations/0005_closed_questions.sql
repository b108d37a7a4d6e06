-- A question that is over: its messages have been changed, so that they show what came of it and no buttons.

alter table questions add column closed_at integer;
create index questions_not_closed on questions (created_at) where closed_at is null;
