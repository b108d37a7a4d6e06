-- name: first_inbox
select min(n) from inbox where n > :after

-- name: at_inbox
select n, received_at as at from inbox where n >= :n order by n limit 1

-- name: last_inbox
select max(n) from inbox

-- name: old_inbox
select n from inbox as i
where n >= :low and n < :high and received_at < :before and state in ('routed', 'ignored', 'refused')
  and not exists (select 1 from mail where mail.inbox = i.n and mail.state = 'waiting')

-- name: delete_inbox_timeline
delete from timeline where inbox in (select value from json_each(:ns))

-- name: delete_inbox
delete from inbox where n in (select value from json_each(:ns))

-- name: first_deliveries
select min(n) from deliveries where n > :after

-- name: at_deliveries
select n, created_at as at from deliveries where n >= :n order by n limit 1

-- name: last_deliveries
select max(n) from deliveries

-- name: old_deliveries
select n from deliveries
where n >= :low and n < :high and coalesce(sent_at, created_at) < :before and state in ('sent', 'cancelled')

-- name: delete_deliveries_timeline
delete from timeline where delivery in (select value from json_each(:ns))

-- name: delete_deliveries
delete from deliveries where n in (select value from json_each(:ns))

-- name: first_mail
select min(n) from mail where n > :after

-- name: at_mail
select n, created_at as at from mail where n >= :n order by n limit 1

-- name: last_mail
select max(n) from mail

-- name: old_mail
select mail.n from mail join sessions on sessions.id = mail.session
where mail.n >= :low and mail.n < :high and mail.created_at < :before and mail.state <> 'waiting'
  and sessions.state = 'ended' and sessions.ended_at < :before

-- name: delete_mail
delete from mail where n in (select value from json_each(:ns))

-- name: ended_sessions
select id, active_at from sessions
where state = 'ended' and ended_at < :before and (active_at, id) > (:active_at, :id)
  and (task <> '' or result is not null or exists (select 1 from steps where steps.session = sessions.id)
    or exists (select 1 from turns where turns.session = sessions.id))
order by active_at, id limit :batch

-- name: count_steps
select count(*) from steps where session = :session

-- name: delete_steps
delete from steps where n in (select n from steps where session = :session order by n limit :batch)

-- name: delete_turns
delete from turns where session = :session

-- name: empty_session
update sessions set task = '', result = null, doing = '' where id = :session

-- name: delete_questions
delete from questions where session = :session

-- name: delete_grants
delete from grants where session = :session

-- name: old_trees
select distinct scope from shared_values
where scope > :after and scope >= 'tree:' and scope < 'tree;'
  and not exists (select 1 from sessions s where s.root = substr(shared_values.scope, 6)
      and (s.state <> 'ended' or s.ended_at >= :before))
order by scope limit :batch

-- name: count_values
select count(*) from shared_values where scope in (select value from json_each(:scopes))

-- name: delete_values
delete from shared_values where scope in (select value from json_each(:scopes))

-- name: old_places
select place from places
where last_at < :before and place > :after and not exists (select 1 from timeline where timeline.place = places.place)
order by place limit :batch

-- name: delete_places
delete from places where place in (select value from json_each(:ns))
  and not exists (select 1 from timeline where timeline.place = places.place)

-- name: count_firings
select count(*) from firings where state <> 'claimed' and ended_at < :before

-- name: delete_firings
delete from firings where key in (select key from firings where state <> 'claimed' and ended_at < :before limit :batch)

-- name: count_buttons
select count(*) from buttons where created_at < :before and (used_at is not null or expires_at < :before)

-- name: delete_buttons
delete from buttons where id in (
    select id from buttons where created_at < :before and (used_at is not null or expires_at < :before) limit :batch)

-- name: old_files
select digest, size_bytes from files where created_at < :before

-- name: delete_files
delete from files where digest in (select value from json_each(:digests))

-- name: refers_inbox
select n, attachments as text from inbox where n > :after and n <= :to and attachments is not null

-- name: refers_mail
select n, attachments as text from mail where n > :after and n <= :to and attachments is not null

-- name: refers_deliveries
select n, body as text from deliveries where n > :after and n <= :to and instr(body, 'sha256:')

-- name: refers_steps
select n, body as text from steps where n > :after and n <= :to and instr(body, 'sha256:')

-- name: last_steps
select max(n) from steps
