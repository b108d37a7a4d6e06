-- What sessions ask people, and which tools a person allowed for the rest of a session.

create table questions (
    id             text primary key,
    key            text not null unique,     -- of the call that asks
    session        text not null,
    turn           text not null,
    call           text not null,
    kind           text not null,            -- question, approval
    text           text not null,
    choices        text not null,            -- JSON: [button id, label, dangerous]…
    tool           text not null default '',
    arguments_hash text not null default '', -- what an approval is bound to
    asked          text not null,            -- JSON: accounts
    places         text not null,            -- JSON: where it was asked
    created_at     integer not null,
    expires_at     integer not null,
    answer         text,
    answered_by    text,                     -- account
    answered_name  text not null default '',
    answered_at    integer
);
create index questions_session on questions (session);
create index questions_open on questions (created_at) where answer is null;

create table grants (
    session    text not null,
    tool       text not null,
    question   text not null,
    granted_by text not null,
    granted_at integer not null,
    primary key (session, tool)
) without rowid;

create trigger sessions_leave after delete on sessions begin
    delete from questions where session = old.id;
    delete from grants where session = old.id;
end;
