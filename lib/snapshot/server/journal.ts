export const journalSql = /* sql */ `
create function rewind.filled_journals() returns oid[] language sql as $$ select '{}'::oid[] $$;
create function rewind.wait_for_writers(target oid) returns void language sql as $$ select $$;
create function rewind.stop_journal(target oid) returns void language sql as $$ select $$;
`;
