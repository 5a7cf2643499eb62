-- `mark` is the name of an object in the bucket that says that the bytes beside it are this store's. It has the store's `id` in
-- it. Null until a server has written it.
ALTER TABLE ps.store
  ADD COLUMN id text NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', ''),
  ADD COLUMN mark text;
