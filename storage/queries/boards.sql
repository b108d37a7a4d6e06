-- name: show_on
update sessions set board = :key where id = :session

-- name: keep_open
insert into boards (key, parent) values (:key, :parent) on conflict (key) do nothing

-- name: close
delete from boards where key = :key

-- name: lives
select 1 from sessions where board = :key and state <> 'ended' limit 1

-- name: open
select key from boards

-- name: shown
with recursive below (id, way) as (
    select id, printf('%020d', created_at) || id from sessions where board = :key
    union all
    select s.id, b.way || printf('%020d', s.created_at) || s.id from sessions s join below b on s.parent = b.id
)
select s.* from below b join sessions s on s.id = b.id order by b.way
