-- name: by_key
select * from questions where key = :key

-- name: by_id
select * from questions where id = :id

-- name: ask
insert into questions (id, key, session, turn, call, kind, text, choices, tool, arguments_hash, asked, places, created_at, expires_at)
values (:id, :key, :session, :turn, :call, :kind, :text, :choices, :tool, :arguments_hash, :asked, :places, :now, :expires_at)
on conflict (key) do update set asked = :asked, places = :places

-- name: insert_button
insert into buttons (id, action, session, created_at, expires_at) values (:id, :action, :session, :now, :expires_at)
on conflict (id) do nothing

-- name: button
select * from buttons where id = :id

-- name: use_buttons
update buttons set used_at = :now, used_by = :by where id in (select json_extract(value, '$[0]') from json_each(:choices))

-- name: awaited
select * from questions
where answer is null and kind = 'question' and expires_at > :now
  and (session = :session or :place in (select value from json_each(places)))
order by session = :session desc, created_at desc limit 20

-- name: is_open
select 1 from sessions s where s.id = :session and s.turn = :turn and s.state in ('running', 'waiting')
  and not exists (select 1 from steps r where r.session = :session and r.turn = :turn and r.kind = 'result'
      and json_extract(r.body, '$.call_id') = :call)

-- name: answer
update questions set answer = :answer, answered_by = :by, answered_name = :name, answered_at = :now where id = :id

-- name: grant
insert into grants (session, tool, question, granted_by, granted_at) values (:session, :tool, :question, :by, :now)
on conflict (session, tool) do nothing

-- name: granted
select 1 from grants where session = :session and tool = :tool

-- name: over
select * from questions as q where q.closed_at is null
  and (:after is null or (q.created_at, q.id) > (select created_at, id from questions where id = :after))
  and (q.answer is not null or q.expires_at <= :now
    or not exists (select 1 from sessions s where s.id = q.session and s.turn = q.turn and s.state in ('running', 'waiting'))
    or exists (select 1 from steps r where r.session = q.session and r.turn = q.turn and r.kind = 'result'
        and json_extract(r.body, '$.call_id') = q.call))
order by q.created_at, q.id limit :limit

-- name: close
update questions set closed_at = :now where id = :id

-- name: messages
select d.*, s.ended as session_ended from deliveries d left join sessions s on s.id = d.session
where d.key >= 'ask:' || :id || '/' and d.key < 'ask:' || :id || '0'

-- name: ask_no_more
update deliveries set state = 'cancelled', error = 'it is answered'
where key >= 'ask:' || :id || '/' and key < 'ask:' || :id || '0' and state = 'pending'
