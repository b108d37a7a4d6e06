-- name: insert_event
insert into inbox (channel, event_id, kind, place, account, sender_name, is_bot, text, message_id, reply_to, attachments, mentioned,
    direct, payload, answer_with, sent_at, received_at)
values (:channel, :event_id, :kind, :place, :account, :sender_name, :is_bot, :text, :message_id, :reply_to, :attachments, :mentioned,
    :direct, :payload, :answer_with, :sent_at, :now)
on conflict (channel, event_id) do nothing
returning n

-- name: set_cursor
insert into cursors (channel, name, value) values (:channel, :name, :value)
on conflict (channel, name) do update set value = :value

-- name: cursor
select value from cursors where channel = :channel and name = :name

-- name: show_inbound
insert into timeline (place, inbox, at) values (:place, :inbox, :at)

-- name: mark
update inbox set state = :state, decision = :decision, session = coalesce(:session, session) where n = :n

-- name: mark_routed
update inbox set state = 'routed', session = :session where n = :n

-- name: unrouted
select * from inbox where state = 'new' and n > :after order by n limit :limit

-- name: message
select * from inbox where place = :place and message_id = :message_id and kind in ('message', 'command') order by n limit 1

-- name: reword_message
update inbox set text = :text where n = :n

-- name: bound_places
select b.place from bindings b join sessions s on s.id = b.session
where b.place >= :channel || ':' and b.place < :channel || ';' and s.state <> 'ended'
order by s.active_at desc

-- name: open_prompts
with open (n) as (
    select n from inbox where state = 'new'
    union
    select inbox from mail where state = 'waiting'
    union
    -- a cross join: begun turns are few, and first
    select m.inbox from sessions s cross join mail m on m.turn = s.turn and m.session = s.id where s.turn is not null
)
select i.place, i.message_id from open cross join inbox i on i.n = open.n
where i.channel = :channel and i.kind = 'message' and i.is_bot = 0 and i.message_id is not null
order by open.n desc limit :limit

-- name: places_heard
-- of the newest few thousand events only: no index is worth its writes for what is asked once a connection
select place from inbox
where n > (select coalesce(max(n), 0) from inbox) - 5000 and channel = :channel and is_bot = 0
group by place order by max(n) desc

-- name: revive
update inbox set state = 'new', decision = null where n = :n and state = 'dead' returning *

-- name: free_mail_key
update mail set key = key || '/dropped' where inbox = :n and state = 'dropped'

-- name: drop
update inbox set state = 'ignored', decision = 'dropped by a person' where n = :n and state = 'dead'
