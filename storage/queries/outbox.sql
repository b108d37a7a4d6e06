-- What is open is found by the partial index `deliveries_lane`, so each query of lanes repeats its condition.

-- name: enqueue
insert into deliveries (key, kind, lane, place, session, turn, control, text, body, created_at)
values (:key, :kind, :place, :place, :session, :turn, :control, :text, :body, :now)
on conflict (key) do nothing

-- name: homes
select s.home, p.home as parent_home from sessions s left join sessions p on p.id = s.parent where s.id = :session

-- name: lanes
select distinct lane from deliveries where state in ('pending', 'sending', 'unknown') and state <> 'unknown'

-- name: head
select d.*, s.ended as session_ended from deliveries d left join sessions s on s.id = d.session
where d.lane = :lane and d.control = :control
    and d.state in ('pending', 'sending', 'unknown') and d.state <> 'unknown' order by d.n limit 1

-- name: row
select d.*, s.ended as session_ended from deliveries d left join sessions s on s.id = d.session where d.n = :n

-- name: sending
update deliveries set state = 'sending', parts = :parts, sending_at = :now where n = :n

-- name: part_said
update deliveries set part = part + 1, message_ids = :message_ids, state = :state, error = :error, attempt = 0,
    not_before = 0, sending_at = :now
where n = :n

-- name: said
update deliveries set state = 'sent', part = part + 1, message_ids = :message_ids, sent_at = :now, error = null
where n = :n

-- name: show_delivery
insert into timeline (place, delivery, at) values (:place, :n, :now)

-- name: later
update deliveries set state = :state, not_before = :not_before, error = :error, attempt = attempt + 1
where n = :n and state in ('pending', 'sending')

-- name: bury
update deliveries set state = :state, error = :error where n = :n and state in ('pending', 'sending')

-- name: lanes_of_session
select distinct lane from deliveries where session = :session and state = 'pending' and control = 0

-- name: cancel_for
update deliveries set state = 'cancelled', error = 'its session was killed'
where session = :session and state = 'pending' and control = 0

-- name: bound_elsewhere
select 1 from bindings b join sessions s on s.id = b.session
where b.place = :place and b.session is not :session and s.state <> 'ended'

-- name: bind_living
insert into bindings (place, session, created_at) select :place, id, :now from sessions where id = :session and state <> 'ended'
on conflict (place) do update set session = excluded.session, created_at = excluded.created_at
where session <> excluded.session

-- name: move
update deliveries set kind = 'message', lane = :place, place = :place, text = :text, body = :body, tried = :tried,
    state = 'pending', not_before = 0, attempt = 0, parts = null, part = 0, message_ids = '[]', error = null
where n = :n

-- name: begun_followers
select n, text, parts, part from deliveries indexed by deliveries_lane
where lane = :old and session = :session and n <> :n and part > 0
    and state in ('pending', 'sending', 'unknown') and state = 'pending'

-- name: rest_of_follower
update deliveries set text = :text where n = :n

-- name: follow
update deliveries indexed by deliveries_lane set lane = :place, place = :place, tried = :tried, body = json_remove(body, '$.reply_to', '$.answer_with'),
    not_before = 0, attempt = 0, parts = null, part = 0, message_ids = '[]'
where lane = :old and session = :session and n <> :n
    and state in ('pending', 'sending', 'unknown') and state = 'pending'

-- name: behind
select d.*, s.ended as session_ended from deliveries d join sessions s on s.id = d.session
where d.lane = :lane and d.state in ('pending', 'sending', 'unknown') and d.state = 'pending'
    and d.session not in (select value from json_each(:sessions))
order by d.n limit 1

-- name: answer_there
update sessions set answer_to = :place, answer_reply = null where id = :session and answer_to = :old

-- name: opened
update deliveries set state = 'sent', lane = :place, place = :place, part = 1, sent_at = :now, error = null where n = :n

-- name: say_in_room
update deliveries set kind = 'message', body = '{}', state = 'pending', not_before = 0, attempt = 0, parts = null
where n = :n

-- name: readdress_deliveries
update deliveries set lane = :place, place = :place
where lane = :old and state in ('pending', 'sending', 'unknown')

-- name: readdress_waiting_mail
update mail set place = :place where session = :session and state = 'waiting' and place = :old

-- name: readdress_mail
update mail set place = :place where place = :old

-- name: readdress_session
update sessions set home = case when home = :old then :place else home end,
    answer_to = case when answer_to = :old then :place else answer_to end
where id = :session

-- name: forget_home
update sessions set home = null, answer_to = case when answer_to = :old then null else answer_to end where id = :session

-- name: give_up_lane
update deliveries set state = 'dead', error = :error
where lane = :lane and state in ('pending', 'sending', 'unknown') and state <> 'unknown'

-- name: in_doubt_again
update deliveries set state = 'sending', not_before = 0, attempt = 0
where lane >= :channel || ':' and lane < :channel || ';' and state in ('pending', 'sending', 'unknown')
    and state = 'unknown' and created_at > :since
returning lane

-- name: dead
select * from deliveries where state = 'dead' order by n desc limit :limit

-- name: retry
update deliveries set state = 'pending', attempt = 0, not_before = 0, created_at = :now, error = null
where n = :n and state in ('dead', 'unknown') returning lane

-- name: drop
update deliveries set state = 'cancelled', error = 'dropped by a person' where n = :n and state in ('dead', 'unknown')

-- name: reword
update deliveries set text = :text, body = json_set(body, '$.buttons', json(:buttons))
where key = :key and place = :place and state = 'sent'

-- name: by_key
select d.*, s.ended as session_ended from deliveries d left join sessions s on s.id = d.session where d.key = :key

-- name: reword_unsent
update deliveries set text = :text where key = :key and state = 'pending' and parts is null

-- name: reworded
update deliveries set text = :text where key = :key and state = 'sent'

-- name: pending_count
select count(*) from deliveries where state in ('pending', 'sending', 'unknown') and state <> 'unknown'

-- name: places_of_room
select place from bindings where place = :room or (place >= :threads and place < :threads || '~')
union select place from places where place = :room or (place >= :threads and place < :threads || '~')
union select lane from deliveries indexed by deliveries_lane
where state in ('pending', 'sending', 'unknown') and (lane = :room or (lane >= :threads and lane < :threads || '~'))
union select home from sessions where state <> 'ended' and (home = :room or (home >= :threads and home < :threads || '~'))
union select place.value from sessions, json_each(report_to) as place
where state <> 'ended' and report_to is not null
    and (place.value = :room or (place.value >= :threads and place.value < :threads || '~'))
union select place.value from monitors, json_each(definition, '$.report_to') as place
where place.value = :room or (place.value >= :threads and place.value < :threads || '~')

-- name: rebind
update or replace bindings set place = :place where place = :old

-- name: deliver_in_moved_room
update deliveries indexed by deliveries_lane set lane = :place, place = :place,
    body = json_remove(body, '$.reply_to', '$.answer_with'), -- messages have other numbers there
    parts = case when part = 0 then null else parts end
where lane = :old and state in ('pending', 'sending', 'unknown')

-- name: open_in_moved_room
update deliveries set body = json_set(body, '$.room', :place)
where kind = 'open_thread' and state in ('pending', 'sending', 'unknown') and json_extract(body, '$.room') = :old

-- name: readdress_timeline
update timeline set place = :place where place = :old

-- name: readdress_questions
update questions set places = replace(places, json_quote(:old), json_quote(:place))
where answer is null and instr(places, json_quote(:old))

-- name: readdress_reports
update sessions set report_to = replace(report_to, json_quote(:old), json_quote(:place))
where report_to is not null and instr(report_to, json_quote(:old))

-- name: readdress_marks
update marks set place = :place where place = :old

-- name: readdress_monitors
update monitors set definition = replace(definition, json_quote(:old), json_quote(:place))
where instr(definition, json_quote(:old))

-- name: readdress_home
update sessions set home = case when home = :old then :place else home end,
    answer_reply = case when answer_to = :old then null else answer_reply end,
    answer_to = case when answer_to = :old then :place else answer_to end
where home = :old or answer_to = :old

-- name: moved_rooms
select room, moved_to from moved_rooms

-- name: moved_to
select moved_to from moved_rooms where room = :room

-- name: moved_before
update moved_rooms set moved_to = :place where moved_to = :old

-- name: moved
insert into moved_rooms (room, moved_to) values (:old, :place) on conflict (room) do update set moved_to = excluded.moved_to

-- name: moved_back
delete from moved_rooms where room = :place
