-- Times are microseconds since 1970 UTC, money is billionths of a US dollar, places are ThreadRef keys,
-- structured columns are JSON. A state column's values are those of the enum of the same noun.

-- What came in. One row an event, kept for deduplication and as the record of what was said.
create table inbox (
    n           integer primary key autoincrement,
    channel     text not null,
    event_id    text not null,
    kind        text not null,
    place       text not null,
    account     text not null,
    sender_name text not null,
    is_bot      integer not null,
    text        text not null,
    message_id  text,
    reply_to    text,
    attachments text,
    mentioned   integer not null,
    direct      integer not null,
    payload     text,
    answer_with text,
    sent_at     integer not null,
    received_at integer not null,
    state       text not null default 'new', -- new, routed, ignored, refused, dead
    decision    text,                        -- what the router said, in words
    session     text,
    unique (channel, event_id)
);
create index inbox_new on inbox (n) where state = 'new';
create index inbox_dead on inbox (n) where state = 'dead';
create index inbox_message on inbox (place, message_id);
create index inbox_account on inbox (account);

create table cursors (
    channel text not null,
    name    text not null,
    value   text not null,
    primary key (channel, name)
) without rowid;

-- What a place shows, in order: one row for each thing said there, by people or by us. `n` is what `?after=N` counts.
create table timeline (
    n        integer primary key autoincrement,
    place    text not null,
    inbox    integer references inbox (n),
    delivery integer,
    at       integer not null
);
create index timeline_place on timeline (place, n);
-- For retention: without them each deleted message and delivery would be looked for in the whole timeline.
create index timeline_inbox on timeline (inbox) where inbox is not null;
create index timeline_delivery on timeline (delivery) where delivery is not null;

-- Every place where something was said, with its newest row: lists places by what happened last, whatever the history.
create table places (
    place   text primary key,
    channel text not null,
    last_n  integer not null,
    last_at integer not null
) without rowid;
create index places_recent on places (last_n);
create index places_of_channel on places (channel, last_n);
create trigger timeline_grows after insert on timeline begin
    insert into places (place, channel, last_n, last_at)
    values (new.place, substr(new.place, 1, instr(new.place, ':') - 1), new.n, new.at)
    on conflict (place) do update set last_n = excluded.last_n, last_at = excluded.last_at;
end;
create trigger timeline_moves after update of place on timeline begin
    delete from places where place = old.place;
    insert into places (place, channel, last_n, last_at)
    values (new.place, substr(new.place, 1, instr(new.place, ':') - 1), new.n, new.at)
    on conflict (place) do update set last_n = max(last_n, excluded.last_n), last_at = max(last_at, excluded.last_at);
end;

create table sessions (
    id              text primary key,
    label           text not null,
    agent           text not null,
    parent          text references sessions (id),
    root            text not null,
    depth           integer not null,
    mode            text not null,
    state           text not null,
    ended           text,
    epoch           integer not null default 0,
    holder          text,                    -- the process that owns the activation
    spawn_key       text not null unique,
    owner           text not null,
    owner_name      text not null,
    task            text not null,
    model           text,
    queue           text,
    timeout_seconds integer,
    budget_nano     integer,
    spent_nano      integer not null default 0,
    tree_nano       integer not null default 0,
    turns           integer not null default 0,
    crashes         integer not null default 0,
    stopping        integer not null default 0,
    turn            text,                    -- the turn that runs or is to be resumed
    answer_to       text,                    -- where that turn's answer belongs
    answer_reply    text,                    -- and the message id that it answers there
    answer_report   integer not null default 0, -- 1: it is a report, said in every place of report_to
    report_to       text,                    -- JSON list of places; null: it answers only where it was asked
    wake_at         integer,                 -- a waiting session is woken then at the latest
    summary_step    integer not null default 0, -- the conversation begins at this step
    result          text,
    home            text,
    doing           text not null default '',
    created_at      integer not null,
    active_at       integer not null,
    ended_at        integer
);
create unique index sessions_label on sessions (label) where state <> 'ended';
create index sessions_parent on sessions (parent);
create index sessions_root on sessions (root);
create index sessions_state on sessions (state, active_at);
create index sessions_active on sessions (active_at);
create index sessions_begun on sessions (id) where turn is not null;
create index sessions_wake on sessions (wake_at) where wake_at is not null;

create table counters (
    name  text primary key,
    value integer not null
) without rowid;

create table bindings (
    place      text primary key,
    session    text not null references sessions (id),
    created_at integer not null
) without rowid;
create index bindings_session on bindings (session);

create table mail (
    n            integer primary key autoincrement,
    key          text not null unique,
    session      text not null references sessions (id),
    kind         text not null,
    mode         text,
    text         text not null,
    sender       text,
    sender_name  text not null default '',
    from_session text,
    inbox        integer,
    place        text,
    reply_to     text,
    attachments  text,
    state        text not null default 'waiting', -- waiting, taken, dropped
    turn         text,
    created_at   integer not null
);
create index mail_waiting on mail (session, n) where state = 'waiting';
create index mail_inbox on mail (inbox);
create index mail_turn on mail (turn);

create table turns (
    id         text primary key,
    session    text not null references sessions (id),
    epoch      integer not null,
    started_at integer not null,
    ended_at   integer,
    outcome    text
);
create index turns_session on turns (session, started_at);

create table steps (
    n                  integer primary key autoincrement,
    session            text not null references sessions (id),
    turn               text,
    kind               text not null,
    body               text not null,
    model              text not null default '',
    input_tokens       integer not null default 0,
    output_tokens      integer not null default 0,
    cache_read_tokens  integer not null default 0,
    cache_write_tokens integer not null default 0,
    cost_nano          integer not null default 0,
    started_at         integer not null,
    ended_at           integer not null
);
create index steps_session on steps (session, n);

-- What is to be said. `lane` is the place whose order it keeps.
create table deliveries (
    n           integer primary key autoincrement,
    key         text not null unique,
    kind        text not null default 'message', -- message, open_thread, edit
    lane        text not null,
    place       text not null,
    session     text,
    turn        text,
    control     integer not null default 0,
    text        text not null,
    body        text not null default '{}',      -- the rest of the Outbound or OpenThread
    state       text not null default 'pending', -- pending, sending, sent, unknown, dead, cancelled
    attempt     integer not null default 0,
    not_before  integer not null default 0,
    parts       text,                            -- the split, fixed at the first try
    part        integer not null default 0,      -- parts that are said
    message_ids text not null default '[]',
    tried       text not null default '[]',      -- places that were unavailable
    error       text,
    created_at  integer not null,
    sending_at  integer,
    sent_at     integer
);
create index deliveries_lane on deliveries (lane, control desc, n) where state in ('pending', 'sending', 'unknown');
create index deliveries_session on deliveries (session, n);
create index deliveries_dead on deliveries (n) where state = 'dead';
create index deliveries_dead_place on deliveries (place, n) where state = 'dead';
create index deliveries_place on deliveries (place, n);

-- Money by day, for an agent's daily budget and /cost.
create table spending (
    day       text not null, -- 2026-11-21, in the bot's time zone
    agent     text not null,
    account   text not null,
    model     text not null,
    calls     integer not null,
    tokens    integer not null,
    cost_nano integer not null,
    primary key (day, agent, account, model)
) without rowid;

-- Accounts joined to people by /link and pairing; the configuration's people are not here.
create table accounts (
    account   text primary key,
    person    text not null,
    role      text,
    linked_at integer not null,
    linked_by text not null
) without rowid;

create table pairings (
    code       text primary key,
    account    text not null,
    name       text not null,
    purpose    text not null,       -- pair, link:<person>
    place      text,
    created_at integer not null,
    expires_at integer not null,
    state      text not null default 'pending' -- pending, approved, denied, expired
) without rowid;
create index pairings_account on pairings (account, state);

create table pairing_failures (
    account text not null,
    at      integer not null
);
create index pairing_failures_account on pairing_failures (account, at);

create table audit (
    n        integer primary key autoincrement,
    at       integer not null,
    actor    text not null,
    action   text not null,
    resource text not null,
    session  text,
    detail   text not null,   -- JSON
    previous text not null,
    hash     text not null
);
create index audit_session on audit (session, n);

create table monitors (
    name       text primary key,
    definition text not null,           -- JSON (agents.monitors.base.to_json), of the configuration's too
    source     text not null,           -- config, chat
    cause      text unique,             -- what made it, when that was in chat: made once
    paused     integer not null default 0,
    anchor_at  integer not null,        -- intervals count from here
    settled_at integer not null default 0, -- everything scheduled up to here was fired or left out
    digest     text,                    -- of what was last seen
    content    text,                    -- what was last seen, for the difference
    raw        text,                    -- digest of it as it was sent
    etag       text,
    modified   text,                    -- its Last-Modified
    session    text,
    last_fired integer,
    last_error text,
    failures   integer not null default 0, -- checks in a row that failed
    told_failing  integer not null default 0,
    told_flooding integer,              -- when its places were told last that it reports too much
    changed_at integer not null
) without rowid;

create table firings (
    key          text primary key,      -- monitor:<name>:<scheduled UTC>
    monitor      text not null,
    scheduled_at integer not null,
    state        text not null default 'claimed', -- claimed, done, failed, skipped
    holder       text not null,
    outcome      text,
    asked        integer not null default 0, -- by a person, out of turn
    quiet        integer not null default 0, -- nothing came of it: not kept for long
    started_at   integer not null,
    ended_at     integer
) without rowid;
create index firings_monitor on firings (monitor, scheduled_at);
create index firings_quiet on firings (monitor, scheduled_at) where quiet;
create index firings_claimed on firings (key) where state = 'claimed';

-- Buttons that were shown: an opaque id, what it means, who may press it.
create table buttons (
    id         text primary key,
    action     text not null,           -- JSON
    session    text,
    created_at integer not null,
    expires_at integer,
    used_at    integer,
    used_by    text
) without rowid;

create table files (
    digest     text primary key,
    size_bytes integer not null,
    media_type text not null,
    created_at integer not null
) without rowid;

create table leases (
    name       text primary key,        -- a platform's connection that may exist once
    holder     text not null,
    expires_at integer not null
) without rowid;
