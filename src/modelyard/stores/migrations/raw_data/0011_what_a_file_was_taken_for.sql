-- What a later file of a use case without a key was taken for: the whole of its records again, other records, or the
-- content of an earlier batch that was read anew. Null: it had nothing to be told from, or came before this was asked.
alter table batches add column taken_as text check (taken_as in ('whole', 'other', 'again'));
