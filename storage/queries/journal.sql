-- name: session
select * from sessions where id = :id

-- name: session_by_key
select * from sessions where spawn_key = :key

-- name: sessions_like
select * from sessions where label = :name or id = :name or (id >= :name and id < :name || '{')
order by id = :name desc, state = 'ended', active_at desc limit 5

-- name: session_bound
select s.* from bindings b join sessions s on s.id = b.session where b.place = :place and s.state <> 'ended'

-- name: living
select * from sessions where state in ('idle', 'running', 'waiting', 'stopping') order by active_at desc limit :limit

-- name: idle_since
select id from sessions s where state = 'idle' and active_at < :before and agent = :agent
  and not exists (select 1 from mail m where m.session = s.id and m.state = 'waiting')
  and not exists (select 1 from sessions c where c.parent = s.id and c.state <> 'ended')
order by active_at limit :limit

-- name: children
select * from sessions where parent = :id order by created_at

-- name: tree
with recursive below (id, way) as (
    select id, printf('%020d', created_at) from sessions where id = :id
    union all
    select s.id, b.way || printf('%020d', s.created_at) from sessions s join below b on s.parent = b.id
)
select s.* from below b join sessions s on s.id = b.id order by b.way

-- name: living_children
select count(*) from sessions where parent = :id and state <> 'ended'

-- name: spawned_since
select count(*) from sessions where root = :root and parent is not null and created_at > :since

-- name: living_labels
select 1 from sessions where label = :label and state <> 'ended'

-- name: next_number
insert into counters (name, value) values (:name, 1) on conflict (name) do update set value = value + 1 returning value

-- name: insert_session
insert into sessions (id, label, agent, parent, root, depth, mode, state, spawn_key, owner, owner_name, task, model, queue,
    timeout_seconds, budget_nano, workspace, home, created_at, active_at)
values (:id, :label, :agent, :parent, :root, :depth, :mode, 'idle', :key, :owner, :owner_name, :task, :model, :queue,
    :timeout_seconds, :budget_nano, :workspace, :home, :now, :now)

-- name: fork_steps
insert into steps (session, turn, kind, body, model, started_at, ended_at)
select :id, null, kind, body, model, started_at, ended_at from steps
where session = :source and n >= (select summary_step from sessions where id = :source)
  and n <= coalesce((select max(n) from steps where session = :source and kind in ('model', 'result', 'summary')
       and not exists (select 1 from steps c where c.session = :source and c.kind = 'call' and c.turn = steps.turn
            and not exists (select 1 from steps r where r.session = :source and r.kind = 'result'
                and json_extract(r.body, '$.call_id') = json_extract(c.body, '$.call_id')))), 0)
order by n

-- name: bind
insert into bindings (place, session, created_at) values (:place, :session, :now)
on conflict (place) do update set session = :session, created_at = :now

-- name: unbind
delete from bindings where place = :place

-- name: unbind_session
delete from bindings where session = :session

-- name: places
select place from bindings where session = :session order by created_at

-- name: set_home
update sessions set home = :place where id = :session

-- name: insert_mail
insert into mail (key, session, kind, mode, text, sender, sender_name, from_session, inbox, place, reply_to, attachments,
    wants_answer, hops, created_at)
values (:key, :session, :kind, :mode, :text, :sender, :sender_name, :from_session, :inbox, :place, :reply_to, :attachments,
    :wants_answer, :hops, :now)

-- name: hops_of_turn
select hops from turns where id = :id

-- name: hops_of_first_mail
select hops from mail where session = :session order by n limit 1

-- name: set_hops
update turns set hops = :hops where id = :id

-- name: raise_hops
update turns set hops = max(hops, :hops) where id = :id

-- name: mail_known
select 1 from mail where key = :key

-- name: unanswered_of_turn
select key, from_session, hops from mail where turn = :turn and session = :session and wants_answer

-- name: unanswered_waiting
select key, from_session, hops from mail where session = :session and state = 'waiting' and wants_answer

-- name: exchanged
with since as (
    select coalesce(max(n), 0) as n from (
        select max(n) as n from mail where session = :one and kind in ('person', 'steer', 'retry') and from_session is null
        union all
        select max(n) from mail where session = :other and kind in ('person', 'steer', 'retry') and from_session is null)
)
select min(
    (select count(*) from mail where session = :one and from_session = :other and kind = 'agent' and n > (select n from since)),
    (select count(*) from mail where session = :other and from_session = :one and kind = 'agent' and n > (select n from since)))

-- name: given_files
select attachments from mail where session = :session and state = 'taken' and attachments is not null order by n desc

-- name: mail_waiting_count
select count(*) from mail where session = :session and state = 'waiting'

-- name: mail_waiting
select * from mail where session = :session and state = 'waiting' order by n

-- name: take_mail
update mail set state = 'taken', turn = :turn where n = :n

-- name: bury_unread
update inbox set state = 'dead', decision = :why
where n in (select inbox from mail where session = :session and state = 'waiting' and inbox is not null)

-- name: notes_waiting
select text from mail where session = :session and state = 'waiting' and kind = 'steer' and from_session is null order by n

-- name: drop_mail
update mail set state = 'dropped' where session = :session and state = 'waiting'

-- name: withdrawn
select 1 from mail where inbox = :inbox and state = 'dropped'

-- name: withdraw_mail
update mail set state = 'dropped' where inbox = :inbox and state = 'waiting'

-- name: answering
select s.* from mail m join sessions s on s.id = m.session and s.turn = m.turn where m.inbox = :inbox

-- name: reword_mail
update mail set text = :text where inbox = :inbox and state = 'waiting'

-- name: claim
update sessions set epoch = epoch + 1, holder = :holder, state = :state, turn = :turn, turns = :turns, crashes = :crashes,
    active_at = :now, wake_at = null, answer_to = :answer_to, answer_reply = :answer_reply, answer_report = :answer_report
where id = :id returning *

-- name: insert_turn
insert into turns (id, session, epoch, hops, started_at) values (:id, :session, :epoch, :hops, :now)

-- name: end_turn_row
update turns set ended_at = :now, outcome = :outcome where id = :id

-- name: insert_step
insert into steps (session, turn, kind, body, model, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_nano,
    started_at, ended_at)
values (:session, :turn, :kind, :body, :model, :input_tokens, :output_tokens, :cache_read_tokens, :cache_write_tokens, :cost_nano,
    :started_at, :now)

-- name: conversation
select * from steps where session = :session and n >= :since and kind <> 'note' order by n

-- name: steps_after
select * from steps where session = :session and n > :after order by n limit :limit

-- name: recent_steps
select * from steps where session = :session order by n desc limit :limit

-- name: written_in
select exists (select 1 from inbox where place = :place and is_bot = 0 and kind in ('message', 'command'))

-- name: tool_calls
select count(*) from steps where session = :session and kind = 'result' and not coalesce(json_extract(body, '$.skipped'), 0)

-- name: set_summary
update sessions set summary_step = :n where id = :session

-- name: progressed
update sessions set active_at = :now, crashes = 0, doing = coalesce(:doing, doing), answer_to = :answer_to, answer_reply = :answer_reply,
    answer_report = :answer_report
where id = :id

-- name: spend_session
update sessions set spent_nano = spent_nano + :nano where id = :id

-- name: spend_tree
with recursive up (id, parent) as (
    select id, parent from sessions where id = :id
    union all
    select s.id, s.parent from sessions s join up on s.id = up.parent
)
update sessions set tree_nano = tree_nano + :nano where id in (select id from up)

-- name: spend_day
insert into spending (day, agent, account, model, calls, tokens, cost_nano) values (:day, :agent, :account, :model, 1, :tokens, :nano)
on conflict (day, agent, account, model) do update set calls = calls + 1, tokens = tokens + :tokens, cost_nano = cost_nano + :nano

-- name: spent_on_day
select coalesce(sum(cost_nano), 0) from spending where day = :day and agent = :agent

-- name: rest
update sessions set state = :state, turn = :turn, stopping = 0, doing = '', wake_at = :wake_at, active_at = :now, crashes = 0
where id = :id

-- name: finish
update sessions set state = 'ended', ended = :ended, result = :result, turn = null, stopping = 0, doing = '', wake_at = null,
    ended_at = :now, active_at = :now, epoch = epoch + 1
where id = :id

-- name: ask_to_stop
update sessions set stopping = 1, state = 'stopping' where id = :id and state in ('running', 'waiting', 'stopping')

-- name: nearest_living
with recursive up (id, parent, state, level) as (
    select id, parent, state, 0 from sessions where id = :id
    union all
    select s.id, s.parent, s.state, up.level + 1 from sessions s join up on s.id = up.parent
)
select id from up where state <> 'ended' order by level limit 1

-- name: change_model
update sessions set model = :value where id = :id

-- name: change_queue
update sessions set queue = :value where id = :id

-- name: change_label
update sessions set label = :value where id = :id

-- name: to_resume
select id from sessions where turn is not null and state in ('running', 'stopping')
union
select distinct session from mail where state = 'waiting'

-- name: due
select id from sessions where wake_at is not null and wake_at <= :now

-- name: next_due
select min(wake_at) from sessions where wake_at is not null

-- name: release
update sessions set holder = null where turn is not null and holder = :holder
