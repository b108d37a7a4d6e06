-- name: value
select * from shared_values where scope = :scope and key = :key

-- name: values
select * from shared_values where scope = :scope and key >= :prefix and substr(key, 1, length(:prefix)) = :prefix
order by key limit :limit

-- name: size
select count(*) as keys, coalesce(sum(length(value)), 0) as characters from shared_values
where scope = :scope and key <> :key

-- name: next_version
insert into counters (name, value) values ('shared_values', 1)
on conflict (name) do update set value = value + 1
returning value

-- name: set
insert into shared_values (scope, key, value, version, changed_by, changed_at)
values (:scope, :key, :value, :version, :session, :now)
on conflict (scope, key) do update
set value = :value, version = :version, changed_by = :session, changed_at = :now

-- name: delete
delete from shared_values where scope = :scope and key = :key

-- name: written
select version from shared_value_writes where call = :call

-- name: note_written
insert into shared_value_writes (call, version, written_at) values (:call, :version, :now)

-- name: forget_written
delete from shared_value_writes where call in
    (select call from shared_value_writes where written_at < :before order by written_at limit 100)
