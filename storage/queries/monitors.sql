-- name: all
select name, definition, source, paused, anchor_at, settled_at, session, last_fired, last_error
from monitors order by name

-- name: one
select * from monitors where name = :name

-- name: by_cause
select name from monitors where cause = :cause

-- name: made_by
select count(*) from monitors where source = 'chat' and json_extract(definition, :path) = :maker

-- name: insert
insert into monitors (name, definition, source, cause, anchor_at, settled_at, changed_at)
values (:name, :definition, :source, :cause, :now, :now, :now)

-- name: redefine
update monitors set definition = :definition, changed_at = :now where name = :name

-- name: begin_anew
update monitors set anchor_at = :now, settled_at = :now where name = :name

-- name: forget_seen
update monitors set digest = null, content = null, raw = null, etag = null, modified = null, failures = 0, told_failing = 0,
    last_error = null
where name = :name

-- name: delete
delete from monitors where name = :name

-- name: give_up
update firings set state = 'skipped', outcome = 'its monitor was removed', ended_at = :now
where monitor = :name and state = 'claimed'

-- name: pause
update monitors set paused = :paused, settled_at = max(settled_at, :now), changed_at = :now where name = :name

-- name: claim
insert into firings (key, monitor, scheduled_at, holder, asked, started_at)
select :key, name, :scheduled_at, :holder, :asked, :now from monitors where name = :name and (not paused or :asked)
on conflict (key) do nothing

-- name: skip
insert into firings (key, monitor, scheduled_at, state, holder, outcome, started_at, ended_at)
values (:key, :name, :scheduled_at, 'skipped', :holder, 'missed while Threadmill did not run', :now, :now)
on conflict (key) do nothing

-- name: fired
update monitors set last_fired = :now where name = :name

-- name: settle
update monitors set settled_at = :scheduled_at where name = :name

-- name: take_up
update firings set holder = :holder where state = 'claimed' returning *

-- name: held
select 1 from firings where key = :key and holder = :holder and state = 'claimed'

-- name: waiting_mail
select 1 from mail where session = :session and state = 'waiting' and kind = 'monitor' limit 1

-- A report is said under a key that begins with its turn: `<turn>/…` ('0' follows '/').
-- name: reports
select count(distinct m.turn) from firings f join mail m on m.key = f.key
where f.monitor = :name and f.scheduled_at > :since and m.turn is not null
    and exists (select 1 from deliveries d where d.key >= m.turn || '/' and d.key < m.turn || '0')

-- name: finish
update firings set state = :state, outcome = :outcome, quiet = :quiet, ended_at = :now where key = :key

-- name: result
update monitors set last_error = :error, failures = :failures, told_failing = :told_failing, told_flooding = :told_flooding
where name = :name

-- name: see
update monitors set digest = :digest, content = :content, raw = :raw, etag = :etag, modified = :modified where name = :name

-- name: see_form
update monitors set raw = :raw, etag = :etag, modified = :modified where name = :name

-- name: set_session
update monitors set session = :session where name = :name

-- name: report_to
update sessions set report_to = :report_to, home = :home where id = :session and (report_to is not :report_to or home is null)

-- name: forget_quiet
delete from firings where key in (
    select key from firings indexed by firings_quiet
    where monitor = :name and scheduled_at < :before and quiet order by scheduled_at limit 20
)
