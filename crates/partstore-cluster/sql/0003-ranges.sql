-- Tokens are reserved as ranges. A token of a range has a row of its own in `tokens` only when something is known of it.

-- The tokens from `first` on, before `last`. The row goes when each of them was used or given up.
CREATE TABLE ps.ranges (
  session bytea NOT NULL REFERENCES ps.sessions,
  first bigint NOT NULL,
  last bigint NOT NULL,
  PRIMARY KEY (session, first)
);

-- `answer`: what the verb answered that has used it; -1 if it was given up; null if an upload to the bucket was begun for it.
-- Rows of a session that knew no ranges stay until it is reaped: unused ones are doomed then.
ALTER TABLE ps.tokens DROP CONSTRAINT tokens_session_fkey;
ALTER TABLE ps.tokens RESET (fillfactor);

-- What servers before this step called.
DROP FUNCTION IF EXISTS ps.put_parts_v1;
DROP FUNCTION IF EXISTS ps.refer_v1;
DROP FUNCTION IF EXISTS ps.heartbeat_v1;
DROP FUNCTION IF EXISTS ps.reserve_v1;
