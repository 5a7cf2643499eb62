-- What step 4 has changed of sweeping: each call changes at most as many rows as it is told, however many wait, and finds
-- them by an index, whatever the statistics say. Servers before it call the functions of `functions-v1.sql`, which stay.

-- Stamps some of what was doomed since the last stamp, and answers the epoch and how many it stamped.
CREATE OR REPLACE FUNCTION ps.stamp_v2(p_limit int, OUT o_epoch bigint, OUT o_stamped int) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE l_names bytea[];
BEGIN
  PERFORM 1 FROM ps.doomed WHERE since IS NULL LIMIT 1;
  IF NOT FOUND THEN
    SELECT epoch, 0 INTO o_epoch, o_stamped FROM ps.store;
    RETURN;
  END IF;
  UPDATE ps.store SET epoch = epoch + 1 RETURNING epoch INTO o_epoch;
  SELECT array_agg(name) INTO l_names
    FROM (SELECT name FROM ps.doomed WHERE since IS NULL ORDER BY name LIMIT p_limit FOR UPDATE) x;
  UPDATE ps.doomed SET since = o_epoch WHERE name = ANY (l_names);
  GET DIAGNOSTICS o_stamped = ROW_COUNT;
END $$;

-- From now on, names that were stamped are kept for so many milliseconds. Answers the last of those that it looked at.
CREATE OR REPLACE FUNCTION ps.keep_v1(p_after bytea, p_limit int, p_kept bigint, OUT o_last bytea) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE l_names bytea[];
BEGIN
  SELECT array_agg(name ORDER BY name) INTO l_names FROM (SELECT name FROM ps.doomed
    WHERE name > p_after AND since IS NOT NULL AND again IS NULL ORDER BY name LIMIT p_limit FOR UPDATE SKIP LOCKED) x;
  UPDATE ps.doomed SET again = clock_timestamp() + p_kept * interval '1 ms' WHERE name = ANY (l_names);
  o_last := l_names[cardinality(l_names)];
END $$;

-- Names behind one that no living session may read. Whoever takes them removes their objects. What a crash interrupts is
-- taken again a minute later. With `p_kept`, only those of which `keep_v1` has said until when they are kept.
-- Of the other sessions it is known from when on they read. The one that asks knows more: what it holds, and from
-- when on it reads what it cannot name yet. So its long readers keep only what they read.
-- A lease counts if it held when the statement began: so one that is over has not been renewed in what it sees.
CREATE OR REPLACE FUNCTION ps.take_v2(p_after bytea, p_limit int, p_kept bool, p_session bytea, p_reads bigint, p_opening bigint, p_held bytea[])
RETURNS TABLE (o_name bytea, o_content bytea, o_size bigint, o_multipart text) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_sort = off AS $$
DECLARE l_others bigint; l_names bytea[];
BEGIN
  SELECT coalesce(min(reads), 9223372036854775807) INTO l_others FROM ps.sessions WHERE expires > statement_timestamp() AND id <> p_session;
  SELECT array_agg(name) INTO l_names FROM (SELECT x.name FROM ps.doomed x
      WHERE x.name > p_after AND x.since <= l_others AND (x.since <= p_reads OR (x.since <= p_opening AND x.content <> ALL (p_held)))
        AND (x.again < clock_timestamp() OR (x.again IS NULL AND NOT p_kept))
      ORDER BY x.name LIMIT p_limit FOR UPDATE SKIP LOCKED) taken;
  RETURN QUERY UPDATE ps.doomed d SET removing = true, again = clock_timestamp() + interval '1 minute'
    WHERE d.name = ANY (l_names) RETURNING d.name, d.content, d.size, d.multipart;
END $$;
