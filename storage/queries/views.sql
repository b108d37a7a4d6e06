-- What people look at. Every query is bounded by :limit (or by a tree's or day's own size) and served by an index:
-- tests/test_views.py asks SQLite for its plan. Pages go backwards by `before`, forwards by `after`.

-- name: living_sessions
select * from (
    select * from (select rowid as number, * from sessions where state = 'running' and (active_at, rowid) < (:at, :number)
                   order by active_at desc, rowid desc limit :limit)
    union all
    select * from (select rowid as number, * from sessions where state = 'waiting' and (active_at, rowid) < (:at, :number)
                   order by active_at desc, rowid desc limit :limit)
    union all
    select * from (select rowid as number, * from sessions where state = 'stopping' and (active_at, rowid) < (:at, :number)
                   order by active_at desc, rowid desc limit :limit)
    union all
    select * from (select rowid as number, * from sessions where state = 'idle' and (active_at, rowid) < (:at, :number)
                   order by active_at desc, rowid desc limit :limit)
) order by active_at desc, number desc limit :limit

-- name: sessions_in_state
select rowid as number, * from sessions where state = :state and (active_at, rowid) < (:at, :number)
order by active_at desc, rowid desc limit :limit

-- name: all_sessions
select rowid as number, * from sessions where (active_at, rowid) < (:at, :number)
order by active_at desc, rowid desc limit :limit

-- name: session
select rowid as number, * from sessions where id = :id

-- name: session_like
select rowid as number, * from sessions where label = :name and state <> 'ended' limit 1

-- name: session_like_id
select rowid as number, * from sessions where id >= :name and id < :name || '{' limit 2

-- name: session_tree
with recursive below (id, way, level) as (
    select id, printf('%020d', created_at) || id, 0 from sessions where id = :root
    union all
    select s.id, b.way || printf('%020d', s.created_at) || s.id, b.level + 1
    from below b join sessions s on s.parent = b.id where b.level < 20
    limit :limit
)
select s.rowid as number, s.* from below b join sessions s on s.id = b.id order by b.way

-- name: context_tokens
select input_tokens + cache_read_tokens + cache_write_tokens + output_tokens as tokens, model from steps
where session = :session and kind = 'model' order by n desc limit 1

-- name: session_places
select place from bindings where session = :session limit 20

-- name: bound_session
select s.rowid as number, s.* from bindings b join sessions s on s.id = b.session where b.place = :place

-- name: last_session
select s.rowid as number, s.*
from (
    select coalesce(o.session, i.session) as session
    from timeline t left join inbox i on i.n = t.inbox left join deliveries o on o.n = t.delivery
    where t.place = :place and coalesce(o.session, i.session) is not null order by t.n desc limit 1
) d
join sessions s on s.id = d.session

-- name: timeline_after
select t.n, t.place, t.at, i.n as inbox, i.kind, i.account, i.sender_name, i.is_bot, i.text as said, i.state as heard,
    i.decision, i.message_id, i.attachments, i.payload, i.event_id, i.session as for_session,
    d.n as delivery, d.kind as sending, d.key, d.text, d.body, d.state, d.error, d.message_ids, d.session, d.turn, d.control,
    s.label, s.agent
from timeline t left join inbox i on i.n = t.inbox left join deliveries d on d.n = t.delivery
left join sessions s on s.id = d.session
where t.place = :place and t.n > :after order by t.n limit :limit

-- name: timeline_before
select t.n, t.place, t.at, i.n as inbox, i.kind, i.account, i.sender_name, i.is_bot, i.text as said, i.state as heard,
    i.decision, i.message_id, i.attachments, i.payload, i.event_id, i.session as for_session,
    d.n as delivery, d.kind as sending, d.key, d.text, d.body, d.state, d.error, d.message_ids, d.session, d.turn, d.control,
    s.label, s.agent
from timeline t left join inbox i on i.n = t.inbox left join deliveries d on d.n = t.delivery
left join sessions s on s.id = d.session
where t.place = :place and t.n < :before order by t.n desc limit :limit

-- name: timeline_of
select t.n, t.place, t.at, null as inbox, d.n as delivery, d.kind as sending, d.key, d.text, d.body, d.state, d.error, d.message_ids,
    d.session, d.turn, d.control, s.label, s.agent
from deliveries d join timeline t on t.delivery = d.n left join sessions s on s.id = d.session
where d.key = :key

-- name: timeline_everywhere
select t.n, t.place, t.at, i.n as inbox, i.kind, i.account, i.sender_name, i.is_bot, i.text as said, i.state as heard,
    i.decision, i.message_id, i.attachments, i.payload, i.event_id, i.session as for_session,
    d.n as delivery, d.kind as sending, d.key, d.text, d.body, d.state, d.error, d.message_ids, d.session, d.turn, d.control,
    s.label, s.agent
from timeline t left join inbox i on i.n = t.inbox left join deliveries d on d.n = t.delivery
left join sessions s on s.id = d.session
where t.n > :after order by t.n limit :limit

-- name: timeline_end
select coalesce(max(n), 0) from timeline

-- name: open_in_place
select d.*, s.label, s.agent from deliveries d left join sessions s on s.id = d.session
where d.lane = :place and d.state in ('pending', 'sending', 'unknown') order by d.control desc, d.n limit :limit

-- name: dead_in_place
select d.*, s.label, s.agent from deliveries d indexed by deliveries_dead_place left join sessions s on s.id = d.session
where d.place = :place and d.state = 'dead' order by d.n desc limit :limit

-- name: used_button
select used_at from buttons where id = :id

-- name: recent_places
select p.place, p.channel, p.last_n, p.last_at, i.text as said, i.sender_name, d.text, s.id, s.label, s.agent, s.state, s.ended, s.doing
from places p left join timeline t on t.n = p.last_n left join inbox i on i.n = t.inbox left join deliveries d on d.n = t.delivery
left join bindings b on b.place = p.place left join sessions s on s.id = b.session
where p.last_n < :before order by p.last_n desc limit :limit

-- name: places_of_channel
select p.place, p.channel, p.last_n, p.last_at, i.text as said, i.sender_name, d.text, s.id, s.label, s.agent, s.state, s.ended, s.doing
from places p left join timeline t on t.n = p.last_n left join inbox i on i.n = t.inbox left join deliveries d on d.n = t.delivery
left join bindings b on b.place = p.place left join sessions s on s.id = b.session
where p.channel = :channel and p.last_n < :before order by p.last_n desc limit :limit

-- name: one_place
select p.place, p.channel, p.last_n, p.last_at, i.text as said, i.sender_name, d.text, s.id, s.label, s.agent, s.state, s.ended, s.doing
from places p left join timeline t on t.n = p.last_n left join inbox i on i.n = t.inbox left join deliveries d on d.n = t.delivery
left join bindings b on b.place = p.place left join sessions s on s.id = b.session
where p.place = :place

-- name: steps_after
select * from steps where session = :session and n > :after order by n limit :limit

-- name: steps_before
select * from steps where session = :session and n < :before order by n desc limit :limit

-- name: turns
select * from turns where session = :session order by started_at desc limit :limit

-- name: deliveries
select d.*, s.label, s.agent from deliveries d left join sessions s on s.id = d.session
where d.n < :before order by d.n desc limit :limit

-- name: deliveries_open
select d.*, s.label, s.agent from deliveries d indexed by deliveries_lane left join sessions s on s.id = d.session
where d.state in ('pending', 'sending', 'unknown') and d.n < :before order by d.n desc limit :limit

-- name: deliveries_dead
select d.*, s.label, s.agent from deliveries d left join sessions s on s.id = d.session
where d.state = 'dead' and d.n < :before order by d.n desc limit :limit

-- name: deliveries_unknown
select d.*, s.label, s.agent from deliveries d indexed by deliveries_lane left join sessions s on s.id = d.session
where d.state in ('pending', 'sending', 'unknown') and d.state = 'unknown' and d.n < :before order by d.n desc limit :limit

-- name: deliveries_of_session
select d.*, s.label, s.agent from deliveries d left join sessions s on s.id = d.session
where d.session = :session and d.n < :before order by d.n desc limit :limit

-- name: inbox_dead
select * from inbox where state = 'dead' and n < :before order by n desc limit :limit

-- name: monitors
select m.*, s.label, s.state as session_state,
    (select state || ':' || coalesce(outcome, '') from firings f where f.monitor = m.name order by scheduled_at desc limit 1) as last_firing
from monitors m left join sessions s on s.id = m.session where m.name > :after order by m.name limit :limit

-- name: firings
select * from firings where monitor = :monitor order by scheduled_at desc limit :limit

-- name: audit
select * from audit where n < :before order by n desc limit :limit

-- name: audit_of_session
select * from audit where session = :session and n < :before order by n desc limit :limit

-- name: spending
select day, agent, model, sum(calls) as calls, sum(tokens) as tokens, sum(cost_nano) as cost_nano from spending
where day >= :since group by day, agent, model order by day desc, cost_nano desc, agent, model limit :limit

-- name: count_in_state
select count(*) from (select 1 from sessions where state = :state limit :limit)

-- name: count_open
select count(*) from (select 1 from deliveries where state in ('pending', 'sending', 'unknown') limit :limit)

-- name: count_dead
select (select count(*) from (select 1 from deliveries where state = 'dead' limit :limit))
     + (select count(*) from (select 1 from deliveries indexed by deliveries_lane
        where state in ('pending', 'sending', 'unknown') and state = 'unknown' limit :limit))
     + (select count(*) from (select 1 from inbox where state = 'dead' limit :limit))
