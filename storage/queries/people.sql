-- name: links
select account, person, role from accounts order by linked_at, account

-- name: link
insert into accounts (account, person, role, linked_at, linked_by)
values (:account, :person, :role, :now, :by)
on conflict (account) do update set person = :person, role = :role, linked_at = :now, linked_by = :by

-- name: follow
update accounts set person = :person where person = :account

-- name: unlink
delete from accounts where account = :account

-- name: asked_since
select count(*) from pairings
where account = :account and purpose = 'pair'
  and (created_at > :since or state = 'denied' and created_at > :denied_since)

-- name: pending_of
select count(*) from pairings where account = :account and state = 'pending'

-- name: pending_strangers
select count(*) from pairings where purpose = 'pair' and state = 'pending'

-- name: ask
insert into pairings (code, account, name, purpose, place, created_at, expires_at)
values (:code, :account, :name, :purpose, :place, :now, :expires_at)
on conflict (code) do nothing

-- name: pending
select code, account, name, purpose, place, created_at, expires_at from pairings where state = 'pending' order by created_at

-- name: settle
update pairings set state = :state where code = :code

-- name: expire
update pairings set state = 'expired' where state = 'pending' and expires_at <= :now

-- name: sweep
delete from pairings where state <> 'pending' and created_at <= :before

-- name: failures
select at from pairing_failures where account = :account and at > :since order by at

-- name: fail
insert into pairing_failures (account, at) values (:account, :now)

-- name: forget_failures
delete from pairing_failures where at <= :before
