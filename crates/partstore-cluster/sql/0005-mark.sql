-- The name of an object in the bucket that says that it is this store's. Null until a server has written it.
ALTER TABLE ps.store ADD COLUMN mark text;
