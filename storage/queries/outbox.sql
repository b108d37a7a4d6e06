-- name: enqueue
insert into deliveries (key, kind, lane, place, session, turn, control, text, body, created_at)
values (:key, :kind, :place, :place, :session, :turn, :control, :text, :body, :now)
on conflict (key) do nothing

-- name: lanes
select distinct lane from deliveries where state in ('pending', 'sending', 'unknown') and state <> 'unknown'

-- name: head
select d.*, s.ended as session_ended from deliveries d left join sessions s on s.id = d.session
where d.lane = :lane and d.state in ('pending', 'sending', 'unknown') and d.state <> 'unknown' order by d.control desc, d.n limit 1

-- name: sending
update deliveries set state = 'sending', attempt = attempt + 1, sending_at = case when state = 'sending' then sending_at else :now end
where n = :n returning sending_at

-- name: part_said
update deliveries set part = :part, message_ids = :message_ids, state = 'sending', attempt = 1 where n = :n

-- name: said
update deliveries set state = 'sent', part = :part, message_ids = :message_ids, sent_at = :sent_at, error = null where n = :n

-- name: show_delivery
insert into timeline (place, delivery, at) values (:place, :n, :at)

-- name: later
update deliveries set state = :state, not_before = :not_before, error = :error where n = :n

-- name: bury
update deliveries set state = :state, error = :error where n = :n and state <> 'cancelled'

-- name: cancel_for
update deliveries set state = 'cancelled', error = 'its session was killed'
where session = :session and state = 'pending' and control = 0

-- name: bound_elsewhere
select 1 from bindings b join sessions s on s.id = b.session
where b.place = :place and b.session <> :session and s.state <> 'ended'

-- name: noted_before
select 1 from deliveries where session = :session and place = :place and tried <> '[]' and n <> :n limit 1

-- name: move
update deliveries set lane = :place, place = :place, text = :text, tried = :tried, state = 'pending', not_before = 0, attempt = 0, part = 0
where n = :n

-- name: follow
update deliveries set lane = :place, place = :place, tried = :tried
where lane = :old and session = :session and state = 'pending' and control = 0 and n > :n

-- name: answer_there
update sessions set answer_to = :place where id = :session and answer_to = :old

-- name: readdress_deliveries
update deliveries set lane = :place, place = :place where lane = :old and state in ('pending', 'sending', 'unknown') and state <> 'unknown'

-- name: readdress_mail
update mail set place = :place where place = :old

-- name: readdress_session
update sessions set home = case when home = :old then :place else home end,
    answer_to = case when answer_to = :old then :place else answer_to end
where id = :session

-- name: forget_home
update sessions set home = null, answer_to = case when answer_to = :old then null else answer_to end where id = :session

-- name: parent_home
select p.home from sessions s join sessions p on p.id = s.parent where s.id = :session

-- name: give_up_lane
update deliveries set state = 'dead', error = :error where lane = :lane and state in ('pending', 'sending', 'unknown') and state <> 'unknown'

-- name: dead
select * from deliveries where state = 'dead' order by n desc limit :limit

-- name: retry
update deliveries set state = 'pending', attempt = 0, not_before = 0, created_at = :now, error = null
where n = :n and state in ('dead', 'unknown') returning lane

-- name: drop
update deliveries set state = 'cancelled', error = 'dropped by a person' where n = :n and state in ('dead', 'unknown')

-- name: pending_count
select count(*) from deliveries where state in ('pending', 'sending', 'unknown') and state <> 'unknown'

-- name: places_of_room
select place from bindings where place = :room or (place >= :threads and place < :threads || '~')
union select home from sessions where state <> 'ended' and (home = :room or (home >= :threads and home < :threads || '~'))

-- name: rebind
update or replace bindings set place = :place where place = :old

-- name: readdress_home
update sessions set home = case when home = :old then :place else home end,
    answer_to = case when answer_to = :old then :place else answer_to end
where home = :old or answer_to = :old
