-- What agents share: workspaces that are not a session's own, values under keys, and which tools of a server were seen.

alter table sessions add column workspace text; -- null: its own (or the one that its profile names)

create table shared_values (
    scope      text not null,                -- tree:<root session>, agent:<name> or everyone
    key        text not null,
    value      text not null,
    version    integer not null,             -- never given twice, so that what was deleted and made again differs
    changed_by text not null,                -- the session
    changed_at integer not null,
    primary key (scope, key)
) without rowid;

create table shared_value_writes (
    call       text primary key,             -- the tool call's key: made again after a crash, it has been done
    version    integer not null,
    written_at integer not null
) without rowid;
create index shared_value_writes_age on shared_value_writes (written_at);

create table tool_servers (
    name        text primary key,
    approved    text,                        -- digest of the tools that may be used
    approved_by text,
    approved_at integer,
    seen        text not null,               -- digest of the tools that it offers
    tools       text not null,               -- JSON: what it offers, for the one who approves
    seen_at     integer not null
) without rowid;
