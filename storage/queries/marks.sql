-- name: put
insert into marks (mail, place, message_id, reply) values (:mail, :place, :message_id, :reply)

-- name: sessions
select distinct m.session from marks k join mail m on m.n = k.mail

-- name: of
select k.*, m.state, m.created_at, s.label, s.state as session_state
from mail m join marks k on k.mail = m.n join sessions s on s.id = m.session
where m.session = :session order by k.mail

-- name: shown
update marks set shown = :shown where mail = :mail

-- name: done
delete from marks where mail = :mail
