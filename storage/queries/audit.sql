-- name: head
select n, hash from audit order by n desc limit 1

-- name: append
insert into audit (n, at, actor, action, resource, session, detail, previous, hash)
values (?, ?, ?, ?, ?, ?, ?, ?, ?)

-- name: next
select n, at, actor, action, resource, session, detail, previous, hash from audit where n > ? order by n limit ?

-- name: newest
select n, at, actor, action, resource, session, detail, previous, hash from audit where n < ? order by n desc limit ?

-- name: next_of_session
select n, at, actor, action, resource, session, detail, previous, hash from audit
where session = ? and n > ? order by n limit ?

-- name: hash_of
select hash from audit where n = ?
