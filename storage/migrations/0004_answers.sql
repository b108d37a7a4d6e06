-- Messages between sessions: which of them wait for an answer, and how many two sessions exchanged.

alter table mail add column wants_answer integer not null default 0; -- 1: the end of the turn that takes it in answers it
create index mail_between on mail (session, from_session) where kind = 'agent';
create index mail_of_people on mail (session, n) where kind in ('person', 'steer', 'retry');
