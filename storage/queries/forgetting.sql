-- name: living
select label from sessions where state <> 'ended' and owner in (select value from json_each(:accounts)) order by label

-- name: owned
select id, home from sessions where owner in (select value from json_each(:accounts))

-- name: direct_places
select distinct place from inbox where account in (select value from json_each(:accounts)) and direct = 1

-- name: count_inbox
select count(*) from inbox where account in (select value from json_each(:accounts))

-- name: inbox
select n, channel, event_id, attachments from inbox where account in (select value from json_each(:accounts)) limit :batch

-- name: blank_inbox
update inbox set account = :nobody, sender_name = '', text = '', attachments = null, payload = null, answer_with = null,
    decision = null, message_id = null, reply_to = null, place = case when direct = 1 then :nowhere else place end,
    state = case when state in ('new', 'dead') then 'ignored' else state end
where n in (select value from json_each(:ns))

-- name: blank_replies
update deliveries set text = '', body = '{}', error = null,
    state = case state when 'sent' then 'sent' else 'cancelled' end
where key in (select value from json_each(:keys))

-- name: last_mail
select max(n) from mail

-- name: mail
select n, attachments from mail
where n > :after and n <= :to and (sender in (select value from json_each(:accounts))
    or session in (select id from sessions where owner in (select value from json_each(:accounts))))

-- name: blank_mail
update mail set text = '', sender = case when sender is null then null else :nobody end, sender_name = '',
    attachments = null, reply_to = null, place = null, state = case when state = 'waiting' then 'dropped' else state end
where n in (select value from json_each(:ns))

-- name: last_steps
select max(n) from steps

-- name: inputs
select n, session, body from steps where n > :after and n <= :to and kind = 'input'

-- name: set_body
update steps set body = :body where n = :n

-- name: count_steps
select count(*) from steps where session = :session

-- name: steps_text
select body as text from steps where session = :session order by n limit :batch

-- name: delete_steps
delete from steps where n in (select n from steps where session = :session order by n limit :batch)

-- name: session_deliveries
select n, body as text from deliveries where session = :session and (text <> '' or body <> '{}')
limit :batch

-- name: place_deliveries
select n, body as text from deliveries where place = :place and (text <> '' or body <> '{}')
limit :batch

-- name: blank_deliveries
update deliveries set text = '', body = '{}', error = null,
    state = case state when 'sent' then 'sent' else 'cancelled' end
where n in (select value from json_each(:ns))

-- name: move_deliveries
update deliveries set place = :nowhere, lane = :nowhere where place = :place or lane = :place

-- name: delete_timeline
delete from timeline where n in (select n from timeline where place = :place limit :batch)

-- name: delete_place
delete from places where place = :place

-- name: blank_session
update sessions set owner = :nobody, owner_name = '', task = '', result = null, doing = '', label = id, home = null,
    answer_to = null, answer_reply = null, answer_report = 0, report_to = null
where id = :session

-- name: delete_session_values
delete from shared_values where changed_by = :session or scope = 'tree:' || :session

-- name: count_session_values
select count(*) from shared_values where changed_by = :session or scope = 'tree:' || :session

-- name: delete_session_grants
delete from grants where session = :session

-- name: delete_session_buttons
delete from buttons where session = :session

-- name: delete_session_questions
delete from questions where session = :session

-- name: blank_question_users
update questions set answered_by = :nobody, answered_name = '', answer = case kind when 'question' then '' else answer end
where answered_by in (select value from json_each(:accounts))

-- name: blank_question_addressees
update questions set asked = '[]', places = '[]'
where exists (select 1 from json_each(questions.asked) as one where one.value in (select value from json_each(:accounts)))

-- name: blank_button_users
update buttons set used_by = :nobody where used_by in (select value from json_each(:accounts))

-- name: merge_spending
insert into spending (day, agent, account, model, calls, tokens, cost_nano)
select day, agent, :nobody, model, sum(calls), sum(tokens), sum(cost_nano) from spending
where account in (select value from json_each(:accounts)) group by day, agent, model
on conflict (day, agent, account, model) do update set
    calls = calls + excluded.calls, tokens = tokens + excluded.tokens, cost_nano = cost_nano + excluded.cost_nano

-- name: delete_spending
delete from spending where account in (select value from json_each(:accounts))

-- name: count_spending
select count(*) from spending where account in (select value from json_each(:accounts))

-- name: delete_accounts
delete from accounts where account in (select value from json_each(:accounts))
    or person in (select value from json_each(:accounts))

-- name: count_accounts
select count(*) from accounts where account in (select value from json_each(:accounts))
    or person in (select value from json_each(:accounts))

-- name: blank_linkers
update accounts set linked_by = :nobody where linked_by in (select value from json_each(:accounts))

-- name: delete_pairings
delete from pairings where account in (select value from json_each(:accounts))

-- name: count_pairings
select count(*) from pairings where account in (select value from json_each(:accounts))

-- name: delete_failures
delete from pairing_failures where account in (select value from json_each(:accounts))

-- name: monitors
select name from monitors, json_each(:accounts) as mine where instr(definition, json_quote(mine.value)) order by name
