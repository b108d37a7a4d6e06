-- name: left
select value as id from json_each(:ids) as named
where exists (select 1 from sessions s where s.id = named.value and s.state = 'ended' and s.ended_at < :before)
  and not exists (select 1 from sessions u where u.root = (select o.root from sessions o where o.id = named.value)
      and u.workspace = 'session:' || named.value and (u.state <> 'ended' or u.ended_at >= :before))

-- name: worked_in
select id, agent, workspace from sessions where owner in (select value from json_each(:accounts)) order by id
