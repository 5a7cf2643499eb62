-- What step 4 has changed of sweeping: each call looks at and changes at most as many rows as it is told, however many wait, and
-- finds them by an index, whatever the statistics say. Servers before it call the functions of `functions-v1.sql`, which stay.
--
-- The stamp says in `again` from when on a name may be taken. Before, the first server that kept something said so.

-- What may be taken, in the order in which it may, and what servers before step 4 have stamped.
CREATE INDEX IF NOT EXISTS doomed_again ON ps.doomed (again, name) WHERE again IS NOT NULL;
CREATE INDEX IF NOT EXISTS doomed_stamped ON ps.doomed (name) WHERE since IS NOT NULL AND again IS NULL;

-- Stamps some of what was doomed since the last stamp and has names behind this one: nobody may take it for so many
-- milliseconds. Answers the epoch, and the last name.
CREATE OR REPLACE FUNCTION ps.stamp_v2(p_after bytea, p_limit int, p_kept bigint, OUT o_epoch bigint, OUT o_last bytea) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET jit = off AS $$
DECLARE l_names bytea[];
BEGIN
  PERFORM 1 FROM ps.doomed WHERE since IS NULL AND name > p_after ORDER BY name LIMIT 1;
  IF NOT FOUND THEN
    SELECT epoch INTO o_epoch FROM ps.store;
    RETURN;
  END IF;
  UPDATE ps.store SET epoch = epoch + 1 RETURNING epoch INTO o_epoch;
  SELECT array_agg(name ORDER BY name) INTO l_names
    FROM (SELECT name FROM ps.doomed WHERE since IS NULL AND name > p_after ORDER BY name LIMIT p_limit FOR UPDATE) x;
  UPDATE ps.doomed SET since = o_epoch, again = clock_timestamp() + p_kept * interval '1 ms' WHERE name = ANY (l_names);
  o_last := l_names[cardinality(l_names)];
END $$;

-- The same for what a server before step 4 has stamped. Answers the last name.
CREATE OR REPLACE FUNCTION ps.keep_v1(p_after bytea, p_limit int, p_kept bigint, OUT o_last bytea) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET jit = off AS $$
DECLARE l_names bytea[];
BEGIN
  SELECT array_agg(name ORDER BY name) INTO l_names FROM (SELECT name FROM ps.doomed
    WHERE since IS NOT NULL AND again IS NULL AND name > p_after ORDER BY name LIMIT p_limit FOR UPDATE SKIP LOCKED) x;
  UPDATE ps.doomed SET again = clock_timestamp() + p_kept * interval '1 ms' WHERE name = ANY (l_names);
  o_last := l_names[cardinality(l_names)];
END $$;

-- Of the next names, those that no living session may read. Whoever takes them removes their objects. What a crash interrupts
-- is taken again a minute later. The first row says where to go on; there is none at the end.
-- Of the other sessions it is known from when on they read. The one that asks knows more: what it holds, and from
-- when on it reads what it cannot name yet. So its long readers keep only what they read.
-- A lease counts if it held when the statement began: so one that is over has not been renewed in what it sees.
CREATE OR REPLACE FUNCTION ps.take_v2(p_again text, p_after bytea, p_limit int, p_session bytea, p_reads bigint, p_opening bigint, p_held bytea[])
RETURNS TABLE (o_again text, o_name bytea, o_content bytea, o_size bigint, o_multipart text) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off SET jit = off AS $$
DECLARE l_others bigint; l_seen bytea[]; l_names bytea[];
BEGIN
  SELECT coalesce(min(reads), 9223372036854775807) INTO l_others FROM ps.sessions WHERE expires > statement_timestamp() AND id <> p_session;
  SELECT array_agg(name ORDER BY again, name), max(again)::text INTO l_seen, o_again FROM (SELECT name, again FROM ps.doomed
    WHERE (again, name) > (p_again::timestamptz, p_after) AND again < clock_timestamp() ORDER BY again, name LIMIT p_limit) x;
  IF l_seen IS NULL THEN RETURN; END IF;
  o_name := l_seen[cardinality(l_seen)];
  RETURN NEXT;
  SELECT array_agg(name) INTO l_names FROM (SELECT x.name FROM ps.doomed x
      WHERE x.name = ANY (l_seen) AND x.since <= l_others AND (x.since <= p_reads OR (x.since <= p_opening AND x.content <> ALL (p_held)))
        AND x.again < clock_timestamp()
      FOR UPDATE SKIP LOCKED) taken;
  RETURN QUERY UPDATE ps.doomed d SET removing = true, again = clock_timestamp() + interval '1 minute'
    WHERE d.name = ANY (l_names) RETURNING NULL::text, d.name, d.content, d.size, d.multipart;
END $$;
