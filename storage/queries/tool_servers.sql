-- name: see
insert into tool_servers (name, approved, approved_by, approved_at, seen, tools, seen_at)
values (:name, :digest, 'configuration', :now, :digest, :tools, :now)
on conflict (name) do update set seen = :digest, tools = :tools, seen_at = :now
returning *

-- name: server
select * from tool_servers where name = :name

-- name: approve
update tool_servers set approved = seen, approved_by = :by, approved_at = :now
where name = :name and seen = :digest returning *

-- name: servers
select * from tool_servers order by name
