-- Two foreign keys that locks of the verbs make needless. Each cost a look at every row that was put.
-- The foreign keys of parts to blobs and of keys to objects stay. Whoever puts a part has locked its upload. Whoever makes a
-- token has locked its session. `inconsistent_v2` finds what would break this.

-- In the order in which the verbs lock these tables, so that servers at work do not wait for this in a circle.
LOCK TABLE ps.sessions, ps.tokens, ps.uploads, ps.parts IN ACCESS EXCLUSIVE MODE;
ALTER TABLE ps.tokens DROP CONSTRAINT tokens_session_fkey;
ALTER TABLE ps.parts DROP CONSTRAINT parts_upload_fkey;
