-- The verbs. Each is one call, so one transaction, in READ COMMITTED: each statement in a function sees what
-- was committed before that statement, so one that follows a lock sees what the lock waited for.
--
-- Locks are taken in this order: range, token, keys, uploads, namespaces, a part that is replaced, blobs, doomed, new parts,
-- usage, tally. Several of a kind are locked in the order of their keys.
-- A refusal of a verb that is alone in its call is an exception, which undoes all.
--   PS001 no such upload      PS005 precondition failed    PS009 namespace exists
--   PS002 token lost          PS006 no such key            PS010 namespace not empty
--   PS003 blob gone           PS007 quota exceeded         PS011 the parts have changed
--   PS004 no such object      PS008 no such namespace      PS012 no such object to replace

CREATE OR REPLACE FUNCTION ps.now_ms_v1() RETURNS bigint LANGUAGE sql VOLATILE AS
$$ SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint $$;

-- Uses a token. Null if the verb is to happen now, else what it answered when it happened.
CREATE OR REPLACE FUNCTION ps.use_token_v1(p_session bytea, p_seq bigint, p_answer bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint;
BEGIN
  PERFORM 1 FROM ps.ranges WHERE session = p_session AND first <= p_seq AND last > p_seq FOR KEY SHARE;
  IF FOUND THEN
    INSERT INTO ps.tokens AS t (session, seq, answer) VALUES (p_session, p_seq, p_answer)
      ON CONFLICT (seq, session) DO UPDATE SET answer = excluded.answer WHERE t.answer IS NULL;
    IF FOUND THEN RETURN NULL; END IF;
  END IF;
  SELECT answer INTO l_answer FROM ps.tokens WHERE session = p_session AND seq = p_seq;
  IF l_answer IS NULL OR l_answer < 0 THEN RAISE EXCEPTION 'the token is gone' USING ERRCODE = 'PS002'; END IF;
  RETURN l_answer;
END $$;

CREATE OR REPLACE FUNCTION ps.count_v1(p_namespace bytea, p_lane smallint, p_uploads bigint, p_objects bigint, p_keys bigint,
  p_parts bigint, p_bytes bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ps.usage AS u VALUES (p_namespace, p_lane, p_uploads, p_objects, p_keys, p_parts, p_bytes)
    ON CONFLICT (namespace, lane) DO UPDATE SET uploads = u.uploads + p_uploads, objects = u.objects + p_objects,
      keys = u.keys + p_keys, parts = u.parts + p_parts, bytes = u.bytes + p_bytes;
END $$;

CREATE OR REPLACE FUNCTION ps.count_blobs_v1(p_lane smallint, p_blobs bigint, p_bytes bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ps.tally AS t VALUES (p_lane, p_blobs, p_bytes)
    ON CONFLICT (lane) DO UPDATE SET blobs = t.blobs + p_blobs, bytes = t.bytes + p_bytes;
END $$;

-- What a quota says against a change: null, or `what proposed maximum`. A namespace with a quota is locked,
-- so its verbs go one after the other.
CREATE OR REPLACE FUNCTION ps.over_quota_v1(p_namespace bytea, p_bytes bigint, p_keys bigint, p_lock bool) RETURNS text LANGUAGE plpgsql AS $$
DECLARE q record; u record;
BEGIN
  SELECT quota_bytes, quota_keys INTO q FROM ps.namespaces WHERE name = p_namespace;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such namespace' USING ERRCODE = 'PS008'; END IF;
  IF q.quota_bytes IS NULL AND q.quota_keys IS NULL THEN RETURN NULL; END IF;
  IF p_lock THEN
    SELECT quota_bytes, quota_keys INTO q FROM ps.namespaces WHERE name = p_namespace FOR NO KEY UPDATE;
  END IF;
  SELECT coalesce(sum(bytes), 0)::bigint AS bytes, coalesce(sum(keys), 0)::bigint AS keys INTO u
    FROM ps.usage WHERE namespace = p_namespace;
  IF p_bytes > 0 AND u.bytes + p_bytes > q.quota_bytes THEN
    RETURN format('bytes %s %s', u.bytes + p_bytes, q.quota_bytes);
  END IF;
  IF p_keys > 0 AND u.keys + p_keys > q.quota_keys THEN
    RETURN format('keys %s %s', u.keys + p_keys, q.quota_keys);
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION ps.check_quota_v1(p_namespace bytea, p_bytes bigint, p_keys bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE l_over text;
BEGIN
  l_over := ps.over_quota_v1(p_namespace, p_bytes, p_keys, true);
  IF l_over IS NOT NULL THEN RAISE EXCEPTION 'quota exceeded' USING ERRCODE = 'PS007', DETAIL = l_over; END IF;
END $$;

-- Keeps the namespace from removal until the transaction ends.
CREATE OR REPLACE FUNCTION ps.hold_namespace_v1(p_namespace bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ps.namespaces WHERE name = p_namespace FOR KEY SHARE;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such namespace' USING ERRCODE = 'PS008'; END IF;
END $$;

-- The blobs of those that are stored. `OFFSET 0` has each looked for by index, also by a plan that was made for empty tables.
CREATE OR REPLACE FUNCTION ps.look_up_v1(p_content bytea[]) RETURNS TABLE (o_content bytea, o_name bytea, o_size bigint, o_crcs bytea, o_damaged bool)
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN QUERY SELECT b.* FROM unnest(p_content) AS q (content)
    CROSS JOIN LATERAL (SELECT content, name, size, crcs, damaged FROM ps.blobs WHERE content = q.content OFFSET 0) b;
END $$;

-- A part is about to refer to this blob. `p_name` and `p_crcs` come with one that was stored for it. Null if no bytes are
-- left: nothing was changed then. Else how many bytes the tally is to grow by, with one blob, or -1.
CREATE OR REPLACE FUNCTION ps.refer_v2(p_content bytea, p_size bigint, p_name bytea, p_crcs bytea, p_repairs bool)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE d record; l_old bytea; l_damaged bool := false;
BEGIN
  IF p_name IS NULL THEN
    PERFORM 1 FROM ps.blobs WHERE content = p_content FOR KEY SHARE;
    IF FOUND THEN RETURN -1; END IF;
    -- Whoever holds the blob may have it back. The one that was doomed last is the one that every holder holds.
    DELETE FROM ps.doomed WHERE name = (
        SELECT name FROM ps.doomed WHERE content = p_content AND NOT removing
          ORDER BY since DESC NULLS FIRST LIMIT 1 FOR UPDATE)
      AND NOT removing RETURNING name, size, crcs, damaged INTO d;
    IF NOT FOUND THEN
      PERFORM 1 FROM ps.blobs WHERE content = p_content FOR KEY SHARE;
      RETURN CASE WHEN FOUND THEN -1 END;
    END IF;
    p_name := d.name; p_size := d.size; p_crcs := d.crcs; l_damaged := d.damaged;
  ELSIF p_repairs THEN
    SELECT name INTO l_old FROM ps.blobs WHERE content = p_content FOR UPDATE;
    IF FOUND THEN
      UPDATE ps.blobs SET name = p_name, crcs = p_crcs, damaged = false WHERE content = p_content;
      INSERT INTO ps.doomed (name) VALUES (l_old);
      RETURN -1;
    END IF;
  END IF;
  INSERT INTO ps.blobs VALUES (p_content, p_name, p_size, p_crcs, l_damaged) ON CONFLICT (content) DO NOTHING;
  IF FOUND THEN RETURN p_size; END IF;
  INSERT INTO ps.doomed (name) VALUES (p_name);
  RETURN -1;
END $$;

-- Puts one part, behind the lock on its upload and the use of its token. 0 done, 3 blob gone, 7 quota exceeded: then it
-- changes nothing, so it may stand beside others in one transaction. `p_stored`: its blob was stored in this transaction.
CREATE OR REPLACE FUNCTION ps.put_part_v1(p_lane smallint, p_upload bytea, p_namespace bytea, p_number int, p_content bytea, p_size bigint,
  p_etag bytea, p_sums bytea, p_name bytea, p_crcs bytea, p_repairs bool, p_stored bool,
  OUT o_outcome int, OUT o_stored bigint, OUT o_detail text) LANGUAGE plpgsql AS $$
DECLARE old record; l_grows bigint; l_stored bigint := -1;
BEGIN
  PERFORM ps.over_quota_v1(p_namespace, 0, 0, true);
  LOOP
    SELECT content, size INTO old FROM ps.parts WHERE upload = p_upload AND number = p_number FOR UPDATE;
    o_detail := ps.over_quota_v1(p_namespace, p_size - coalesce(old.size, 0), 0, true);
    IF o_detail IS NOT NULL THEN
      o_outcome := 7;
    ELSE
      l_grows := ps.refer_v2(p_content, p_size, p_name, p_crcs, p_repairs);
      IF l_grows IS NULL THEN o_outcome := 3; END IF;
      l_stored := greatest(l_stored, l_grows);
    END IF;
    -- What has changed something may not just return: all is undone, and called again.
    IF o_outcome IS NOT NULL AND p_stored THEN RAISE EXCEPTION 'overtaken by another put' USING ERRCODE = '40001'; END IF;
    IF o_outcome IS NOT NULL THEN RETURN; END IF;
    o_stored := ps.now_ms_v1();
    IF old.content IS NOT NULL THEN
      UPDATE ps.parts SET content = p_content, size = p_size, etag = p_etag, sums = p_sums, stored = o_stored
        WHERE upload = p_upload AND number = p_number;
      IF old.content <> p_content THEN INSERT INTO ps.garbage (content) VALUES (old.content); END IF;
      EXIT;
    END IF;
    INSERT INTO ps.parts VALUES (p_upload, p_number, p_content, p_size, p_etag, p_sums, o_stored) ON CONFLICT (upload, number) DO NOTHING;
    EXIT WHEN FOUND;
    -- Another put of this number was first. The blob is stored by now, so only a reference is wanted.
    p_name := NULL; p_crcs := NULL; p_stored := true;
  END LOOP;
  PERFORM ps.count_v1(p_namespace, p_lane, 0, 0, 0, CASE WHEN old.content IS NULL THEN 1 ELSE 0 END, p_size - coalesce(old.size, 0));
  IF l_stored >= 0 THEN PERFORM ps.count_blobs_v1(p_lane, 1, l_stored); END IF;
  o_outcome := 0;
END $$;

-- Puts parts, no two of them with the same upload and number. Each is judged alone: 0 done, 1 no such upload, 2 token lost,
-- 3 blob gone, 7 quota exceeded, 13 the bytes are stored already, 14 to be put in a call of its own. Refused ones change nothing.
-- What most puts are is done for all at once: an upload that is free, a number that has no part yet, a quota that has room, bytes
-- that were stored for it or are known. `l_plain` has the places of these, and `l_done` of those that were done. All others wait
-- for nobody here: they are for a call of their own (14), and so nobody waits for what they wait for.
-- `p_is_alone`: there is one put, and it waits for what is in its way.
-- `p_blind`: nobody looked whether the bytes are stored. If they are, the caller looks whether they are sound (13).
CREATE OR REPLACE FUNCTION ps.put_parts_v2(p_session bytea, p_seq bigint[], p_lane smallint, p_upload bytea[], p_namespace bytea[], p_key bytea[],
  p_number int[], p_content bytea[], p_size bigint[], p_etag bytea[], p_sums bytea[], p_name bytea[], p_crcs bytea[], p_repairs bool[], p_blind bool[],
  p_is_alone bool)
RETURNS TABLE (o_seq bigint, o_outcome int, o_stored bigint, o_detail text) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET lock_timeout = '1s' AS $$
DECLARE l_now bigint := ps.now_ms_v1(); l_used bigint[]; l_open int[]; l_plain int[]; l_quota int[];
  l_known bytea[]; l_taken int[]; l_blobs bigint; l_bytes bigint; l_done int[]; l_has_blob bool;
BEGIN
  WITH live AS (SELECT first, last FROM ps.ranges WHERE session = p_session
        AND first <= (SELECT max(s) FROM unnest(p_seq) AS s) AND last > (SELECT min(s) FROM unnest(p_seq) AS s) FOR KEY SHARE),
    used AS (INSERT INTO ps.tokens AS t (session, seq, answer) SELECT p_session, s, l_now FROM unnest(p_seq) AS s
        WHERE EXISTS (SELECT 1 FROM live WHERE s >= first AND s < last) ORDER BY s
      ON CONFLICT (seq, session) DO UPDATE SET answer = excluded.answer WHERE t.answer IS NULL RETURNING seq)
    SELECT coalesce(array_agg(seq), '{}') INTO l_used FROM used;
  IF p_is_alone THEN
    PERFORM 1 FROM ps.uploads WHERE id = p_upload[1] FOR SHARE;
  END IF;
  -- `OFFSET 0`: each is looked for by index, also by a plan that was made for empty tables.
  SELECT coalesce(array_agg(x.place), '{}'), coalesce(array_agg(x.place) FILTER (WHERE x.is_plain AND NOT x.has_quota), '{}'),
      coalesce(array_agg(x.place) FILTER (WHERE x.is_plain AND x.has_quota), '{}') INTO l_open, l_plain, l_quota
    FROM (SELECT q.place::int AS place, n.has_quota, o.is_there IS NULL AND NOT q.repairs AS is_plain
      FROM (SELECT * FROM unnest(p_seq, p_upload, p_namespace, p_key, p_number, p_repairs) WITH ORDINALITY AS q (seq, upload, namespace, key, number, repairs, place)
          WHERE q.seq = ANY (l_used) ORDER BY q.upload) q
        CROSS JOIN LATERAL (SELECT 1 FROM ps.uploads u
          WHERE u.id = q.upload AND u.namespace = q.namespace AND u.key = q.key AND u.completed IS NULL OFFSET 0 FOR SHARE SKIP LOCKED) u
        CROSS JOIN LATERAL (SELECT quota_bytes IS NOT NULL OR quota_keys IS NOT NULL AS has_quota FROM ps.namespaces WHERE name = q.namespace OFFSET 0) n
        LEFT JOIN LATERAL (SELECT true AS is_there FROM ps.parts p WHERE p.upload = q.upload AND p.number = q.number OFFSET 0) o ON true) x;
  IF cardinality(l_quota) > 0 THEN
    PERFORM 1 FROM ps.namespaces WHERE name IN (SELECT p_namespace[place] FROM unnest(l_quota) AS place) ORDER BY name FOR NO KEY UPDATE;
    -- Those that have room together. This statement sees what the lock has waited for.
    SELECT l_plain || coalesce(array_agg(x.place), '{}') INTO l_plain
      FROM (SELECT place, n.quota_bytes - h.bytes - sum(p_size[place]) OVER (PARTITION BY n.name ORDER BY place) AS room
        FROM unnest(l_quota) AS place JOIN ps.namespaces n ON n.name = p_namespace[place]
          CROSS JOIN LATERAL (SELECT coalesce(sum(u.bytes), 0) AS bytes FROM ps.usage u WHERE u.namespace = n.name) h) x
      WHERE coalesce(x.room, 0) >= 0;
  END IF;
  IF array_position(p_name, NULL) IS NOT NULL THEN
    SELECT array_agg(x.content) INTO l_known FROM (SELECT content FROM ps.blobs
      WHERE content = ANY (ARRAY(SELECT p_content[place] FROM unnest(l_plain) AS place WHERE p_name[place] IS NULL)) ORDER BY content FOR KEY SHARE) x;
  END IF;
  WITH fresh AS (SELECT place, p_content[place] AS content, p_name[place] AS name, p_size[place] AS size, p_crcs[place] AS crcs
      FROM unnest(l_plain) AS place WHERE p_name[place] IS NOT NULL ORDER BY 2),
    stored AS (INSERT INTO ps.blobs SELECT content, name, size, crcs FROM fresh ON CONFLICT (content) DO NOTHING RETURNING name, size),
    second AS (INSERT INTO ps.doomed (name) SELECT f.name FROM fresh f WHERE NOT p_blind[f.place] AND f.name NOT IN (SELECT s.name FROM stored s))
    SELECT count(s.name), coalesce(sum(s.size), 0), coalesce(array_agg(f.place) FILTER (WHERE s.name IS NULL AND p_blind[f.place]), '{}')
      INTO l_blobs, l_bytes, l_taken FROM fresh f LEFT JOIN stored s ON s.name = f.name;
  WITH put AS (INSERT INTO ps.parts
      SELECT p_upload[place], p_number[place], p_content[place], p_size[place], p_etag[place], p_sums[place], l_now
        FROM unnest(l_plain) AS place WHERE place <> ALL (l_taken) AND (p_name[place] IS NOT NULL OR p_content[place] = ANY (l_known)) ORDER BY 1, 2
      ON CONFLICT (upload, number) DO NOTHING RETURNING upload, number),
    done AS (SELECT place FROM unnest(l_plain) AS place WHERE (p_upload[place], p_number[place]) IN (SELECT upload, number FROM put)),
    counted AS (INSERT INTO ps.usage AS u SELECT p_namespace[place], p_lane, 0, 0, 0, count(*), sum(p_size[place]) FROM done GROUP BY 1 ORDER BY 1
      ON CONFLICT (namespace, lane) DO UPDATE SET parts = u.parts + excluded.parts, bytes = u.bytes + excluded.bytes RETURNING 1),
    tallied AS (INSERT INTO ps.tally AS t SELECT p_lane, l_blobs, l_bytes WHERE l_blobs > 0 AND (SELECT count(*) FROM counted) > 0
      ON CONFLICT (lane) DO UPDATE SET blobs = t.blobs + excluded.blobs, bytes = t.bytes + excluded.bytes)
    SELECT coalesce(array_agg(place), '{}') INTO l_done FROM done;
  IF cardinality(l_done) = cardinality(p_seq) THEN
    RETURN QUERY SELECT seq, 0, l_now, NULL::text FROM unnest(p_seq) AS seq;
    RETURN;
  END IF;
  l_has_blob := p_is_alone AND l_plain <> '{}' AND l_taken = '{}' AND p_name[1] IS NOT NULL;
  FOR i IN 1 .. cardinality(p_seq) LOOP
    o_seq := p_seq[i]; o_outcome := 0; o_stored := l_now; o_detail := NULL;
    IF NOT p_seq[i] = ANY (l_used) THEN
      SELECT answer INTO o_stored FROM ps.tokens WHERE session = p_session AND seq = p_seq[i];
      IF o_stored IS NULL OR o_stored < 0 THEN o_outcome := 2; END IF;
    ELSIF NOT i = ANY (l_done) THEN
      IF i = ANY (l_taken) THEN
        o_outcome := 13;
      ELSIF NOT p_is_alone THEN
        -- Another put of this number was first, and the blob of this one is stored by now: all is undone, and each is put alone.
        IF i = ANY (l_plain) AND p_name[i] IS NOT NULL THEN RAISE EXCEPTION 'overtaken by another put' USING ERRCODE = '40001'; END IF;
        o_outcome := 14;
      ELSIF l_open = '{}' THEN
        o_outcome := 1;
      ELSIF p_blind[1] AND NOT l_has_blob AND EXISTS (SELECT 1 FROM ps.blobs WHERE content = p_content[1]) THEN
        o_outcome := 13;
      ELSE
        -- The name of a plain one is used, or doomed.
        SELECT r.o_outcome, r.o_stored, r.o_detail INTO o_outcome, o_stored, o_detail
          FROM ps.put_part_v1(p_lane, p_upload[1], p_namespace[1], p_number[1], p_content[1], p_size[1], p_etag[1], p_sums[1],
            CASE WHEN l_has_blob THEN NULL ELSE p_name[1] END, p_crcs[1], p_repairs[1], l_has_blob) r;
        IF l_blobs > 0 THEN PERFORM ps.count_blobs_v1(p_lane, l_blobs, l_bytes); END IF;
      END IF;
      UPDATE ps.tokens SET answer = CASE o_outcome WHEN 0 THEN o_stored END WHERE session = p_session AND seq = p_seq[i];
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;

CREATE OR REPLACE FUNCTION ps.initiate_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea,
  p_metadata bytea, p_wanted int, p_composite int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_now bigint := ps.now_ms_v1(); l_answer bigint;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, l_now);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  PERFORM ps.hold_namespace_v1(p_namespace);
  INSERT INTO ps.uploads (id, namespace, key, initiated, metadata, wanted, composite)
    VALUES (p_upload, p_namespace, p_key, l_now, p_metadata, p_wanted, p_composite);
  PERFORM ps.count_v1(p_namespace, p_lane, 1, 0, 0, 0, 0);
  RETURN l_now;
END $$;

-- Locks a key, and returns its current object if the condition holds (0 always, 1 absent, 2 this ETag, 3 this id).
-- A key without an object has a row without one until the transaction ends: so others wait.
CREATE OR REPLACE FUNCTION ps.lock_key_v1(p_namespace bytea, p_key bytea, p_kind int, p_etag text, p_id bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE l_object bytea; l_etag text; l_holds bool;
BEGIN
  PERFORM ps.hold_namespace_v1(p_namespace);
  LOOP
    INSERT INTO ps.keys VALUES (p_namespace, p_key, NULL) ON CONFLICT (namespace, key) DO NOTHING;
    SELECT object INTO l_object FROM ps.keys WHERE namespace = p_namespace AND key = p_key FOR UPDATE;
    EXIT WHEN FOUND;
  END LOOP;
  IF p_kind = 2 AND l_object IS NULL THEN RAISE EXCEPTION 'no such key' USING ERRCODE = 'PS006'; END IF;
  IF p_kind = 2 THEN SELECT etag INTO l_etag FROM ps.uploads WHERE id = l_object; END IF;
  l_holds := CASE p_kind WHEN 0 THEN true WHEN 1 THEN l_object IS NULL WHEN 2 THEN l_etag = p_etag
    ELSE coalesce(l_object = p_id, false) END;
  IF NOT l_holds THEN RAISE EXCEPTION 'precondition failed' USING ERRCODE = 'PS005'; END IF;
  RETURN l_object;
END $$;

-- Removes an upload or object that is locked, with its parts. No key may name it.
CREATE OR REPLACE FUNCTION ps.drop_v1(p_lane smallint, p_upload bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE l_parts bigint; l_bytes bigint; u record;
BEGIN
  WITH gone AS (DELETE FROM ps.parts WHERE upload = p_upload RETURNING content, size),
    noted AS (INSERT INTO ps.garbage (content) SELECT DISTINCT content FROM gone)
    SELECT count(*), coalesce(sum(size), 0)::bigint INTO l_parts, l_bytes FROM gone;
  DELETE FROM ps.uploads WHERE id = p_upload RETURNING namespace, completed IS NULL AS is_open INTO u;
  PERFORM ps.count_v1(u.namespace, p_lane, CASE WHEN u.is_open THEN -1 ELSE 0 END, CASE WHEN u.is_open THEN 0 ELSE -1 END, 0, -l_parts, -l_bytes);
END $$;

-- Bytes of the object that a key is about to lose.
CREATE OR REPLACE FUNCTION ps.size_of_v1(p_object bytea) RETURNS bigint LANGUAGE sql STABLE AS
$$ SELECT coalesce((SELECT size FROM ps.uploads WHERE id = p_object), 0) $$;

-- Gives a locked key, whose object was `p_old`, another one. The old one is removed.
CREATE OR REPLACE FUNCTION ps.set_key_v1(p_lane smallint, p_namespace bytea, p_key bytea, p_old bytea, p_new bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE ps.keys SET object = p_new WHERE namespace = p_namespace AND key = p_key;
  IF p_old IS NULL THEN
    PERFORM ps.count_v1(p_namespace, p_lane, 0, 0, 1, 0, 0);
  ELSIF p_old <> p_new THEN
    PERFORM 1 FROM ps.uploads WHERE id = p_old FOR UPDATE;
    PERFORM ps.drop_v1(p_lane, p_old);
  END IF;
END $$;

-- Takes a locked key its object, which is left.
CREATE OR REPLACE FUNCTION ps.unset_key_v1(p_lane smallint, p_namespace bytea, p_key bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM ps.keys WHERE namespace = p_namespace AND key = p_key;
  PERFORM ps.count_v1(p_namespace, p_lane, 0, 0, -1, 0, 0);
END $$;

-- The parts of an upload in one value: a completion was judged by those that it saw.
CREATE OR REPLACE FUNCTION ps.digest_v1(p_upload bytea) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(coalesce(string_agg(int4send(number) || content || int4send(length(etag)) || etag || int4send(length(sums)) || sums, ''::bytea ORDER BY number), ''::bytea))
    FROM ps.parts WHERE upload = p_upload
$$;

-- `p_kind` null: the key is left alone. Answers when it was completed.
CREATE OR REPLACE FUNCTION ps.complete_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea,
  p_digest bytea, p_unlisted int[], p_identity bytea, p_size bigint, p_parts int, p_etag text, p_sums bytea, p_composite bytea,
  p_kind int, p_if_etag text, p_if_id bytea, p_replaced bytea, p_replaced_namespace bytea, p_replaced_key bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_now bigint := ps.now_ms_v1(); l_answer bigint; l_old bytea; u record; g record; l_replaced_current bytea;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, l_now);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  IF p_replaced IS NOT NULL THEN
    SELECT object INTO l_replaced_current FROM ps.keys WHERE namespace = p_replaced_namespace AND key = p_replaced_key FOR UPDATE;
  END IF;
  IF p_kind IS NOT NULL THEN
    -- The same completion again finds its own object under the key, so the condition comes behind.
    SELECT completed, identity INTO u FROM ps.uploads WHERE id = p_upload AND namespace = p_namespace AND key = p_key;
    IF FOUND AND u.completed IS NOT NULL AND u.identity = p_identity THEN RETURN u.completed; END IF;
    IF NOT FOUND OR u.completed IS NOT NULL THEN RAISE EXCEPTION 'no such upload' USING ERRCODE = 'PS001'; END IF;
    l_old := ps.lock_key_v1(p_namespace, p_key, p_kind, p_if_etag, p_if_id);
  END IF;
  PERFORM 1 FROM ps.uploads WHERE id IN (p_upload, p_replaced) ORDER BY id FOR UPDATE;
  SELECT completed, identity INTO u FROM ps.uploads WHERE id = p_upload AND namespace = p_namespace AND key = p_key;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such upload' USING ERRCODE = 'PS001'; END IF;
  -- A caller looks again at what somebody else has completed in the meantime.
  IF u.completed IS NOT NULL OR ps.digest_v1(p_upload) <> p_digest THEN RAISE EXCEPTION 'changed' USING ERRCODE = 'PS011'; END IF;
  IF p_replaced IS NOT NULL THEN
    PERFORM 1 FROM ps.uploads WHERE id = p_replaced AND namespace = p_replaced_namespace AND key = p_replaced_key AND completed IS NOT NULL;
    IF NOT FOUND THEN RAISE EXCEPTION 'no such object' USING ERRCODE = 'PS012'; END IF;
  END IF;
  IF p_kind IS NOT NULL AND l_old IS NULL THEN PERFORM ps.check_quota_v1(p_namespace, 0, 1); END IF;
  IF p_replaced IS NOT NULL THEN
    IF l_replaced_current = p_replaced THEN PERFORM ps.unset_key_v1(p_lane, p_replaced_namespace, p_replaced_key); END IF;
    PERFORM ps.drop_v1(p_lane, p_replaced);
  END IF;
  WITH gone AS (DELETE FROM ps.parts WHERE upload = p_upload AND number = ANY (p_unlisted) RETURNING content, size),
    noted AS (INSERT INTO ps.garbage (content) SELECT DISTINCT content FROM gone)
    SELECT count(*) AS parts, coalesce(sum(size), 0)::bigint AS bytes INTO g FROM gone;
  UPDATE ps.uploads SET completed = l_now, modified = l_now, size = p_size, parts = p_parts, etag = p_etag, sums = p_sums,
    composite_sums = p_composite, identity = p_identity WHERE id = p_upload;
  PERFORM ps.count_v1(p_namespace, p_lane, -1, 1, 0, -g.parts, -g.bytes);
  IF p_kind IS NOT NULL THEN PERFORM ps.set_key_v1(p_lane, p_namespace, p_key, l_old, p_upload); END IF;
  RETURN l_now;
END $$;

-- An object that is made at once. Each part has a number, a blob, and its digests; at most one brings its blob.
CREATE OR REPLACE FUNCTION ps.put_object_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea,
  p_metadata bytea, p_kind int, p_if_etag text, p_if_id bytea, p_size bigint, p_etag text, p_sums bytea, p_composite bytea,
  p_number int[], p_content bytea[], p_sizes bigint[], p_etags bytea[], p_part_sums bytea[], p_name bytea, p_crcs bytea, p_repairs bool)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_now bigint := ps.now_ms_v1(); l_answer bigint; l_old bytea; c record; l_grows bigint; l_blobs bigint := 0; l_bytes bigint := 0;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, l_now);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  l_old := ps.lock_key_v1(p_namespace, p_key, p_kind, p_if_etag, p_if_id);
  IF l_old IS NOT NULL THEN PERFORM 1 FROM ps.uploads WHERE id = l_old FOR UPDATE; END IF;
  PERFORM ps.check_quota_v1(p_namespace, p_size - ps.size_of_v1(l_old), CASE WHEN l_old IS NULL THEN 1 ELSE 0 END);
  FOR c IN SELECT x.content, max(x.size) AS size FROM unnest(p_content, p_sizes) AS x (content, size) GROUP BY x.content ORDER BY x.content LOOP
    l_grows := ps.refer_v2(c.content, c.size, p_name, p_crcs, p_repairs);
    IF l_grows IS NULL THEN
      RAISE EXCEPTION 'blob gone' USING ERRCODE = 'PS003', DETAIL = encode(c.content, 'hex');
    END IF;
    IF l_grows >= 0 THEN l_blobs := l_blobs + 1; l_bytes := l_bytes + l_grows; END IF;
  END LOOP;
  INSERT INTO ps.uploads (id, namespace, key, initiated, metadata, completed, modified, size, parts, etag, sums, composite_sums)
    VALUES (p_upload, p_namespace, p_key, l_now, p_metadata, l_now, l_now, p_size, cardinality(p_number), p_etag, p_sums, p_composite);
  INSERT INTO ps.parts SELECT p_upload, x.number, x.content, x.size, x.etag, x.sums, l_now
    FROM unnest(p_number, p_content, p_sizes, p_etags, p_part_sums) AS x (number, content, size, etag, sums);
  PERFORM ps.count_v1(p_namespace, p_lane, 0, 1, 0, cardinality(p_number), p_size);
  PERFORM ps.set_key_v1(p_lane, p_namespace, p_key, l_old, p_upload);
  IF l_blobs > 0 THEN PERFORM ps.count_blobs_v1(p_lane, l_blobs, l_bytes); END IF;
  RETURN l_now;
END $$;

CREATE OR REPLACE FUNCTION ps.lock_object_v1(p_upload bytea, p_namespace bytea, p_key bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ps.uploads WHERE id = p_upload AND namespace = p_namespace AND key = p_key AND completed IS NOT NULL FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such object' USING ERRCODE = 'PS004'; END IF;
END $$;

-- What names nothing is refused before its key is locked, since that could be refused for another reason.
CREATE OR REPLACE FUNCTION ps.check_object_v1(p_upload bytea, p_namespace bytea, p_key bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ps.uploads WHERE id = p_upload AND namespace = p_namespace AND key = p_key AND completed IS NOT NULL;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such object' USING ERRCODE = 'PS004'; END IF;
END $$;

CREATE OR REPLACE FUNCTION ps.make_current_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea,
  p_kind int, p_if_etag text, p_if_id bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint; l_old bytea;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 1);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  PERFORM ps.check_object_v1(p_upload, p_namespace, p_key);
  l_old := ps.lock_key_v1(p_namespace, p_key, p_kind, p_if_etag, p_if_id);
  PERFORM 1 FROM ps.uploads WHERE id IN (p_upload, l_old) ORDER BY id FOR UPDATE;
  PERFORM ps.check_object_v1(p_upload, p_namespace, p_key);
  IF l_old IS NULL THEN PERFORM ps.check_quota_v1(p_namespace, 0, 1); END IF;
  PERFORM ps.set_key_v1(p_lane, p_namespace, p_key, l_old, p_upload);
  RETURN 1;
END $$;

CREATE OR REPLACE FUNCTION ps.replace_metadata_v1(p_session bytea, p_seq bigint, p_upload bytea, p_namespace bytea, p_key bytea, p_metadata bytea)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_now bigint := ps.now_ms_v1(); l_answer bigint;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, l_now);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  PERFORM ps.lock_object_v1(p_upload, p_namespace, p_key);
  UPDATE ps.uploads SET metadata = p_metadata, modified = l_now WHERE id = p_upload;
  RETURN l_now;
END $$;

-- `p_metadata` null: it keeps its own. `p_etag` null: likewise.
CREATE OR REPLACE FUNCTION ps.rename_object_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea,
  p_new_namespace bytea, p_new_key bytea, p_kind int, p_if_etag text, p_if_id bytea, p_metadata bytea, p_etag text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_now bigint := ps.now_ms_v1(); l_answer bigint; l_from bytea; l_to bytea; l_has_old bool; l_moves bool; u record; l_gone bigint := 0;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, l_now);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  PERFORM ps.check_object_v1(p_upload, p_namespace, p_key);
  -- Both keys, in order.
  IF (p_namespace, p_key) < (p_new_namespace, p_new_key) THEN
    SELECT object INTO l_from FROM ps.keys WHERE namespace = p_namespace AND key = p_key FOR UPDATE;
  END IF;
  l_to := ps.lock_key_v1(p_new_namespace, p_new_key, p_kind, p_if_etag, p_if_id);
  IF (p_namespace, p_key) > (p_new_namespace, p_new_key) THEN
    SELECT object INTO l_from FROM ps.keys WHERE namespace = p_namespace AND key = p_key FOR UPDATE;
  END IF;
  PERFORM 1 FROM ps.uploads WHERE id IN (p_upload, l_to) ORDER BY id FOR UPDATE;
  PERFORM ps.check_object_v1(p_upload, p_namespace, p_key);
  SELECT size, parts INTO u FROM ps.uploads WHERE id = p_upload;
  l_has_old := coalesce(l_from = p_upload, false);
  l_moves := p_namespace <> p_new_namespace;
  IF l_to <> p_upload THEN l_gone := ps.size_of_v1(l_to); END IF;
  PERFORM ps.check_quota_v1(p_new_namespace, CASE WHEN l_moves THEN u.size ELSE 0 END - l_gone,
    CASE WHEN l_to IS NULL THEN 1 ELSE 0 END - CASE WHEN l_has_old AND NOT l_moves THEN 1 ELSE 0 END);
  IF l_has_old THEN PERFORM ps.unset_key_v1(p_lane, p_namespace, p_key); END IF;
  UPDATE ps.uploads SET namespace = p_new_namespace, key = p_new_key, metadata = coalesce(p_metadata, metadata),
    modified = CASE WHEN p_metadata IS NULL THEN modified ELSE l_now END, etag = coalesce(p_etag, etag) WHERE id = p_upload;
  IF l_moves THEN
    PERFORM ps.count_v1(p_namespace, p_lane, 0, -1, 0, -u.parts, -u.size);
    PERFORM ps.count_v1(p_new_namespace, p_lane, 0, 1, 0, u.parts, u.size);
  END IF;
  PERFORM ps.set_key_v1(p_lane, p_new_namespace, p_new_key, l_to, p_upload);
  RETURN l_now;
END $$;

CREATE OR REPLACE FUNCTION ps.remove_object_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint; l_current bytea;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 1);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  SELECT object INTO l_current FROM ps.keys WHERE namespace = p_namespace AND key = p_key FOR UPDATE;
  PERFORM ps.lock_object_v1(p_upload, p_namespace, p_key);
  IF l_current = p_upload THEN PERFORM ps.unset_key_v1(p_lane, p_namespace, p_key); END IF;
  PERFORM ps.drop_v1(p_lane, p_upload);
  RETURN 1;
END $$;

-- Answers 1 if the key had an object, else 0.
CREATE OR REPLACE FUNCTION ps.remove_key_v1(p_session bytea, p_seq bigint, p_lane smallint, p_namespace bytea, p_key bytea,
  p_kind int, p_if_etag text, p_if_id bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint; l_old bytea;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 0);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  l_old := ps.lock_key_v1(p_namespace, p_key, p_kind, p_if_etag, p_if_id);
  IF l_old IS NULL THEN
    DELETE FROM ps.keys WHERE namespace = p_namespace AND key = p_key;
    RETURN 0;
  END IF;
  PERFORM 1 FROM ps.uploads WHERE id = l_old FOR UPDATE;
  PERFORM ps.unset_key_v1(p_lane, p_namespace, p_key);
  PERFORM ps.drop_v1(p_lane, l_old);
  UPDATE ps.tokens SET answer = 1 WHERE session = p_session AND seq = p_seq;
  RETURN 1;
END $$;

CREATE OR REPLACE FUNCTION ps.lock_open_v1(p_upload bytea, p_namespace bytea, p_key bytea) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ps.uploads WHERE id = p_upload AND namespace = p_namespace AND key = p_key AND completed IS NULL FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such upload' USING ERRCODE = 'PS001'; END IF;
END $$;

CREATE OR REPLACE FUNCTION ps.abort_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea)
RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 1);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  PERFORM ps.lock_open_v1(p_upload, p_namespace, p_key);
  PERFORM ps.drop_v1(p_lane, p_upload);
  RETURN 1;
END $$;

CREATE OR REPLACE FUNCTION ps.rename_upload_v1(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea,
  p_new_namespace bytea, p_new_key bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint; g record;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 1);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  PERFORM ps.hold_namespace_v1(p_new_namespace);
  PERFORM ps.lock_open_v1(p_upload, p_namespace, p_key);
  IF p_new_namespace <> p_namespace THEN
    SELECT count(*) AS parts, coalesce(sum(size), 0)::bigint AS bytes INTO g FROM ps.parts WHERE upload = p_upload;
    PERFORM ps.check_quota_v1(p_new_namespace, g.bytes, 0);
    PERFORM ps.count_v1(p_namespace, p_lane, -1, 0, 0, -g.parts, -g.bytes);
    PERFORM ps.count_v1(p_new_namespace, p_lane, 1, 0, 0, g.parts, g.bytes);
  END IF;
  UPDATE ps.uploads SET namespace = p_new_namespace, key = p_new_key WHERE id = p_upload;
  RETURN 1;
END $$;

-- An upload that is locked is in use, and is left.
CREATE OR REPLACE FUNCTION ps.expire_v1(p_lane smallint, p_upload bytea, p_age bigint) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ps.uploads WHERE id = p_upload AND completed IS NULL AND initiated <= ps.now_ms_v1() - p_age FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN false; END IF;
  PERFORM ps.drop_v1(p_lane, p_upload);
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION ps.create_namespace_v1(p_session bytea, p_seq bigint, p_name bytea, p_bytes bigint, p_keys bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 1);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  INSERT INTO ps.namespaces VALUES (p_name, ps.now_ms_v1(), p_bytes, p_keys) ON CONFLICT (name) DO NOTHING;
  IF NOT FOUND THEN RAISE EXCEPTION 'namespace exists' USING ERRCODE = 'PS009'; END IF;
  RETURN 1;
END $$;

CREATE OR REPLACE FUNCTION ps.remove_namespace_v1(p_session bytea, p_seq bigint, p_name bytea) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint; l_held bigint;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 1);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  PERFORM 1 FROM ps.namespaces WHERE name = p_name FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such namespace' USING ERRCODE = 'PS008'; END IF;
  SELECT coalesce(sum(uploads + objects), 0) INTO l_held FROM ps.usage WHERE namespace = p_name;
  IF l_held > 0 THEN RAISE EXCEPTION 'namespace not empty' USING ERRCODE = 'PS010'; END IF;
  DELETE FROM ps.usage WHERE namespace = p_name;
  DELETE FROM ps.namespaces WHERE name = p_name;
  RETURN 1;
END $$;

CREATE OR REPLACE FUNCTION ps.set_quota_v1(p_session bytea, p_seq bigint, p_name bytea, p_bytes bigint, p_keys bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_answer bigint;
BEGIN
  l_answer := ps.use_token_v1(p_session, p_seq, 1);
  IF l_answer IS NOT NULL THEN RETURN l_answer; END IF;
  UPDATE ps.namespaces SET quota_bytes = p_bytes, quota_keys = p_keys WHERE name = p_name;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such namespace' USING ERRCODE = 'PS008'; END IF;
  RETURN 1;
END $$;

-- The first text behind all that begin with this one. Keys are UTF-8, whose bytes are below 255.
CREATE OR REPLACE FUNCTION ps.behind_v1(p_prefix bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE WHEN length(p_prefix) = 0 THEN NULL
    ELSE set_byte(p_prefix, length(p_prefix) - 1, get_byte(p_prefix, length(p_prefix) - 1) + 1) END
$$;

-- Names of a page, in order. A name that has the delimiter behind the prefix stands for all that begin with
-- the same text up to there: those are skipped by one look into the index.
CREATE OR REPLACE FUNCTION ps.page_v1(p_open bool, p_namespace bytea, p_prefix bytea, p_delimiter bytea, p_after bytea, p_after_id bytea, p_limit int)
RETURNS TABLE (o_common bool, o_key bytea, o_id bytea) LANGUAGE plpgsql STABLE AS $$
DECLARE l_from bytea := p_prefix; l_from_id bytea := ''; l_strict bool := false; n int := 0; l_at int; r record; l_jumped bool; l_sql text;
  l_end bytea := ps.behind_v1(p_prefix);
BEGIN
  PERFORM 1 FROM ps.namespaces WHERE name = p_namespace;
  IF NOT FOUND THEN RAISE EXCEPTION 'no such namespace' USING ERRCODE = 'PS008'; END IF;
  IF p_after >= p_prefix THEN
    l_from := p_after; l_from_id := coalesce(p_after_id, '\xff'::bytea); l_strict := true;
    IF p_after_id IS NULL AND p_delimiter IS NOT NULL AND substring(p_after FROM 1 FOR length(p_prefix)) = p_prefix THEN
      l_at := position(p_delimiter IN substring(p_after FROM length(p_prefix) + 1));
      IF l_at > 0 AND length(p_prefix) + l_at - 1 + length(p_delimiter) = length(p_after) THEN
        l_from := ps.behind_v1(p_after); l_from_id := ''; l_strict := false;
      END IF;
    END IF;
  END IF;
  LOOP
    l_jumped := false;
    l_sql := CASE
      WHEN p_open THEN 'SELECT key, id FROM ps.uploads WHERE completed IS NULL AND namespace = $1 AND (key, id) > ($2, $3)'
      WHEN l_strict THEN 'SELECT key, object AS id FROM ps.keys WHERE namespace = $1 AND key > $2'
      ELSE 'SELECT key, object AS id FROM ps.keys WHERE namespace = $1 AND key >= $2' END;
    IF l_end IS NOT NULL THEN l_sql := l_sql || ' AND key < $4'; END IF;
    l_sql := l_sql || CASE WHEN p_open THEN ' ORDER BY key, id' ELSE ' ORDER BY key' END || ' LIMIT $5';
    FOR r IN EXECUTE l_sql USING p_namespace, l_from, l_from_id, l_end, p_limit - n LOOP
      l_at := 0;
      IF p_delimiter IS NOT NULL THEN l_at := position(p_delimiter IN substring(r.key FROM length(p_prefix) + 1)); END IF;
      IF l_at = 0 THEN
        o_common := false; o_key := r.key; o_id := r.id;
      ELSE
        o_common := true; o_key := substring(r.key FROM 1 FOR length(p_prefix) + l_at - 1 + length(p_delimiter)); o_id := NULL;
      END IF;
      RETURN NEXT;
      n := n + 1;
      IF l_at > 0 THEN
        l_from := ps.behind_v1(o_key); l_from_id := ''; l_strict := false; l_jumped := true;
        EXIT;
      END IF;
    END LOOP;
    EXIT WHEN NOT l_jumped OR n >= p_limit;
  END LOOP;
END $$;

-- Sessions, tokens, and what is removed. Lengths of time are in milliseconds.

CREATE OR REPLACE FUNCTION ps.begin_session_v1(p_session bytea, p_lease bigint, OUT o_epoch bigint, OUT o_now bigint, OUT o_newest bytea) LANGUAGE plpgsql AS $$
BEGIN
  SELECT epoch INTO o_epoch FROM ps.store;
  INSERT INTO ps.sessions VALUES (p_session, clock_timestamp() + p_lease * interval '1 ms', o_epoch)
    ON CONFLICT (id) DO UPDATE SET expires = excluded.expires;
  o_now := ps.now_ms_v1();
  SELECT id INTO o_newest FROM ps.uploads ORDER BY id DESC LIMIT 1;
END $$;

-- A session whose lease is over does not get it back: others may have removed what it reads. `o_epoch` is null then.
CREATE OR REPLACE FUNCTION ps.heartbeat_v2(p_session bytea, p_reads bigint, p_lease bigint, p_settled bigint[], OUT o_epoch bigint, OUT o_now bigint) LANGUAGE plpgsql AS $$
DECLARE l_first bigint[]; l_last bigint[];
BEGIN
  UPDATE ps.sessions SET expires = clock_timestamp() + p_lease * interval '1 ms', reads = p_reads WHERE id = p_session AND expires > clock_timestamp();
  IF FOUND THEN SELECT epoch INTO o_epoch FROM ps.store; END IF;
  o_now := ps.now_ms_v1();
  -- Ranges of which each token was used or given up. What comes late finds no range.
  WITH gone AS (DELETE FROM ps.ranges WHERE session = p_session AND first = ANY (p_settled) RETURNING first, last)
    SELECT array_agg(first), array_agg(last) INTO l_first, l_last FROM gone;
  DELETE FROM ps.tokens t USING unnest(l_first, l_last) AS r (first, last) WHERE t.session = p_session AND t.seq >= r.first AND t.seq < r.last;
END $$;

-- A range is made once. A call that arrives late may find it settled and deleted: made anew, it would doom names that are in use.
CREATE OR REPLACE FUNCTION ps.reserve_v2(p_session bytea, p_first bigint, p_count int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE ps.sessions SET reserved = p_first + p_count WHERE id = p_session AND expires > clock_timestamp() AND reserved = p_first;
  IF FOUND THEN
    INSERT INTO ps.ranges VALUES (p_session, p_first, p_first + p_count);
    RETURN;
  END IF;
  PERFORM 1 FROM ps.sessions WHERE id = p_session AND expires > clock_timestamp() AND reserved > p_first;
  IF NOT FOUND THEN RAISE EXCEPTION 'the session is over' USING ERRCODE = 'PS002'; END IF;
END $$;

CREATE OR REPLACE FUNCTION ps.name_v1(p_session bytea, p_seq bigint) RETURNS bytea LANGUAGE sql IMMUTABLE AS
$$ SELECT p_session || int8send(p_seq) $$;

-- Names that are not used after all. One whose verb has happened is left. A token that was given up keeps a row while its range
-- has one, so a verb that comes late does not happen.
CREATE OR REPLACE FUNCTION ps.doom_v1(p_session bytea, p_seq bigint[], p_late bool[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  WITH live AS (SELECT first, last FROM ps.ranges WHERE session = p_session
        AND first <= (SELECT max(s) FROM unnest(p_seq) AS s) AND last > (SELECT min(s) FROM unnest(p_seq) AS s) FOR KEY SHARE),
    given AS (SELECT x.seq, bool_or(x.late) AS late FROM unnest(p_seq, p_late) AS x (seq, late) GROUP BY x.seq),
    gone AS (INSERT INTO ps.tokens AS t (session, seq, answer) SELECT p_session, g.seq, -1 FROM given g
        WHERE EXISTS (SELECT 1 FROM live WHERE g.seq >= first AND g.seq < last) ORDER BY g.seq
      ON CONFLICT (seq, session) DO UPDATE SET answer = -1 WHERE t.answer IS NULL RETURNING seq, multipart)
    INSERT INTO ps.doomed (name, multipart, late) SELECT ps.name_v1(p_session, gone.seq), gone.multipart, given.late
      FROM gone JOIN given ON given.seq = gone.seq;
END $$;

CREATE OR REPLACE FUNCTION ps.note_multipart_v1(p_session bytea, p_seq bigint, p_multipart text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ps.ranges WHERE session = p_session AND first <= p_seq AND last > p_seq FOR KEY SHARE;
  IF FOUND THEN
    INSERT INTO ps.tokens AS t (session, seq, multipart) VALUES (p_session, p_seq, p_multipart)
      ON CONFLICT (seq, session) DO UPDATE SET multipart = excluded.multipart WHERE t.answer IS NULL;
  END IF;
  IF NOT FOUND THEN RAISE EXCEPTION 'the token is gone' USING ERRCODE = 'PS002'; END IF;
END $$;

-- `p_unused` were never given out, so they name nothing.
CREATE OR REPLACE FUNCTION ps.end_session_v1(p_session bytea, p_unused_from bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  PERFORM 1 FROM ps.sessions WHERE id = p_session FOR UPDATE;
  DELETE FROM ps.ranges WHERE session = p_session AND first >= p_unused_from;
  UPDATE ps.ranges SET last = p_unused_from WHERE session = p_session AND last > p_unused_from;
  PERFORM ps.bury_v1(p_session);
END $$;

CREATE OR REPLACE FUNCTION ps.bury_v1(p_session bytea) RETURNS void LANGUAGE plpgsql AS $$
DECLARE l_first bigint[]; l_last bigint[];
BEGIN
  -- This waits for the verbs that use tokens of these ranges. The next statement sees what they did.
  WITH gone AS (DELETE FROM ps.ranges WHERE session = p_session RETURNING first, last)
    SELECT array_agg(first), array_agg(last) INTO l_first, l_last FROM gone;
  INSERT INTO ps.doomed (name, multipart, late)
    SELECT ps.name_v1(p_session, s.seq), t.multipart, true
      FROM (SELECT generate_series(r.first, r.last - 1) AS seq FROM unnest(l_first, l_last) AS r (first, last)) s
        LEFT JOIN ps.tokens t ON t.session = p_session AND t.seq = s.seq
      WHERE t.answer IS NULL
      -- One that is doomed already must not keep the others from it.
      ON CONFLICT (name) DO NOTHING;
  -- A server that knew no ranges had a row for each token.
  WITH gone AS (DELETE FROM ps.tokens WHERE session = p_session RETURNING seq, answer, multipart)
    INSERT INTO ps.doomed (name, multipart, late) SELECT ps.name_v1(p_session, seq), multipart, true FROM gone WHERE answer IS NULL
      ON CONFLICT (name) DO NOTHING;
  DELETE FROM ps.sessions WHERE id = p_session;
END $$;

CREATE OR REPLACE FUNCTION ps.reap_v1() RETURNS int LANGUAGE plpgsql AS $$
DECLARE s bytea; n int := 0;
BEGIN
  FOR s IN SELECT id FROM ps.sessions WHERE expires < clock_timestamp() FOR UPDATE SKIP LOCKED LOOP
    PERFORM ps.bury_v1(s);
    n := n + 1;
  END LOOP;
  RETURN n;
END $$;

-- Looks at some of what lost a reference. It never waits while it holds something: what is in use keeps its
-- row. The statement that looks for references comes behind the one that locks: it sees what the lock waited for.
CREATE OR REPLACE FUNCTION ps.sweep_v1(p_lane smallint, p_after bigint, p_limit int, OUT o_last bigint) LANGUAGE plpgsql AS $$
DECLARE l_seq bigint[]; l_content bytea[]; l_mine bytea[]; l_gone record;
BEGIN
  SELECT array_agg(seq), array_agg(content), max(seq) INTO l_seq, l_content, o_last
    FROM (SELECT seq, content FROM ps.garbage WHERE seq > p_after ORDER BY seq LIMIT p_limit FOR UPDATE SKIP LOCKED) x;
  IF l_seq IS NULL THEN RETURN; END IF;
  SELECT coalesce(array_agg(content), '{}') INTO l_mine
    FROM (SELECT content FROM ps.blobs WHERE content = ANY (l_content) FOR UPDATE SKIP LOCKED) x;
  WITH gone AS (DELETE FROM ps.blobs b WHERE content = ANY (l_mine) AND NOT EXISTS (SELECT 1 FROM ps.parts p WHERE p.content = b.content)
      RETURNING content, name, size, crcs, damaged),
    doomed AS (INSERT INTO ps.doomed (name, content, size, crcs, damaged) SELECT name, content, size, crcs, damaged FROM gone)
    SELECT count(*) AS blobs, coalesce(sum(size), 0)::bigint AS bytes INTO l_gone FROM gone;
  DELETE FROM ps.garbage g WHERE seq = ANY (l_seq)
    AND (g.content = ANY (l_mine) OR NOT EXISTS (SELECT 1 FROM ps.blobs b WHERE b.content = g.content));
  IF l_gone.blobs > 0 THEN PERFORM ps.count_blobs_v1(p_lane, -l_gone.blobs, -l_gone.bytes); END IF;
END $$;

-- Stamps what was doomed since the last stamp, and answers the epoch.
CREATE OR REPLACE FUNCTION ps.stamp_v1() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_epoch bigint;
BEGIN
  PERFORM 1 FROM ps.doomed WHERE since IS NULL LIMIT 1;
  IF NOT FOUND THEN
    SELECT epoch INTO l_epoch FROM ps.store;
    RETURN l_epoch;
  END IF;
  UPDATE ps.store SET epoch = epoch + 1 RETURNING epoch INTO l_epoch;
  UPDATE ps.doomed SET since = l_epoch WHERE since IS NULL;
  RETURN l_epoch;
END $$;

-- Names that no living session may read. Whoever takes them removes their objects. What a crash interrupts is
-- taken again a minute later.
-- Of the other sessions it is known from when on they read. The one that asks knows more: what it holds, and from
-- when on it reads what it cannot name yet. So its long readers keep only what they read.
-- A lease counts if it held when the statement began: so one that is over has not been renewed in what it sees.
CREATE OR REPLACE FUNCTION ps.take_v1(p_limit int, p_kept bigint, p_session bytea, p_reads bigint, p_opening bigint, p_held bytea[])
RETURNS TABLE (o_name bytea, o_content bytea, o_size bigint, o_multipart text) LANGUAGE plpgsql AS $$
DECLARE l_others bigint;
BEGIN
  SELECT coalesce(min(reads), 9223372036854775807) INTO l_others FROM ps.sessions WHERE expires > statement_timestamp() AND id <> p_session;
  UPDATE ps.doomed SET again = clock_timestamp() + p_kept * interval '1 ms' WHERE since IS NOT NULL AND again IS NULL AND p_kept > 0;
  RETURN QUERY UPDATE ps.doomed d SET removing = true, again = clock_timestamp() + interval '1 minute'
    WHERE d.name IN (SELECT x.name FROM ps.doomed x
      WHERE x.since <= l_others AND (x.since <= p_reads OR (x.since <= p_opening AND x.content <> ALL (p_held)))
        AND (x.again IS NULL OR x.again < clock_timestamp())
      LIMIT p_limit FOR UPDATE SKIP LOCKED)
    RETURNING d.name, d.content, d.size, d.multipart;
END $$;

-- Their objects are removed. Those to which a write may still be on its way are removed once more, a day later.
CREATE OR REPLACE FUNCTION ps.removed_v1(p_name bytea[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  UPDATE ps.doomed SET late = false, content = NULL, crcs = NULL, again = clock_timestamp() + interval '1 day'
    WHERE name = ANY (p_name) AND late AND removing;
  DELETE FROM ps.doomed WHERE name = ANY (p_name) AND NOT late AND removing AND (again IS NULL OR again < clock_timestamp() + interval '1 hour');
END $$;

-- Of names whose objects are stored, dooms those that no row has. A name has a row before it has an object, so
-- one that has none when its object was listed before has none for ever.
CREATE OR REPLACE FUNCTION ps.reconcile_v1(p_session bytea[], p_seq bigint[]) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE l_doomed bigint;
BEGIN
  WITH unknown AS (SELECT ps.name_v1(x.session, x.seq) AS name FROM unnest(p_session, p_seq) AS x (session, seq)
      WHERE NOT EXISTS (SELECT 1 FROM ps.ranges r WHERE r.session = x.session AND r.first <= x.seq AND r.last > x.seq)
        AND NOT EXISTS (SELECT 1 FROM ps.tokens t WHERE t.session = x.session AND t.seq = x.seq)
        AND NOT EXISTS (SELECT 1 FROM ps.blobs b WHERE b.name = ps.name_v1(x.session, x.seq))
        AND NOT EXISTS (SELECT 1 FROM ps.doomed d WHERE d.name = ps.name_v1(x.session, x.seq))),
    doomed AS (INSERT INTO ps.doomed (name) SELECT name FROM unknown ON CONFLICT DO NOTHING RETURNING 1)
    SELECT count(*) INTO l_doomed FROM doomed;
  RETURN l_doomed;
END $$;

-- What does not agree with itself, as one snapshot shows it.
CREATE OR REPLACE FUNCTION ps.inconsistent_v1() RETURNS SETOF text LANGUAGE sql STABLE AS $$
  SELECT format('blob %s: no part refers to it, and it is not in the garbage', encode(content, 'hex')) FROM ps.blobs b
    WHERE NOT EXISTS (SELECT 1 FROM ps.parts p WHERE p.content = b.content) AND NOT EXISTS (SELECT 1 FROM ps.garbage g WHERE g.content = b.content)
  UNION ALL
  SELECT format('the name %s belongs to a blob and is doomed', encode(b.name, 'hex')) FROM ps.blobs b JOIN ps.doomed d ON d.name = b.name
  UNION ALL
  SELECT format('object %s: it has %s bytes in %s parts, and its parts have %s in %s', encode(u.id, 'hex'), u.size, u.parts, p.bytes, p.parts)
    FROM ps.uploads u CROSS JOIN LATERAL (SELECT coalesce(sum(size), 0) AS bytes, count(*) AS parts FROM ps.parts WHERE upload = u.id) p
    WHERE u.completed IS NOT NULL AND (p.bytes <> u.size OR p.parts <> u.parts)
  UNION ALL
  SELECT format('key %s of namespace %s: its object has another key', encode(k.key, 'escape'), encode(k.namespace, 'escape'))
    FROM ps.keys k LEFT JOIN ps.uploads u ON u.id = k.object AND u.namespace = k.namespace AND u.key = k.key AND u.completed IS NOT NULL
    WHERE u.id IS NULL
  UNION ALL
  SELECT format('namespace %s: its usage is %s, and it holds %s', encode(n.name, 'escape'), c, h) FROM ps.namespaces n
    CROSS JOIN LATERAL (SELECT row(coalesce(sum(uploads), 0), coalesce(sum(objects), 0), coalesce(sum(keys), 0), coalesce(sum(parts), 0), coalesce(sum(bytes), 0))::text AS c
      FROM ps.usage WHERE namespace = n.name) counted
    CROSS JOIN LATERAL (SELECT row(
        (SELECT count(*) FROM ps.uploads WHERE namespace = n.name AND completed IS NULL),
        (SELECT count(*) FROM ps.uploads WHERE namespace = n.name AND completed IS NOT NULL),
        (SELECT count(*) FROM ps.keys WHERE namespace = n.name),
        count(p.number), coalesce(sum(p.size), 0))::text AS h
      FROM ps.uploads u JOIN ps.parts p ON p.upload = u.id WHERE u.namespace = n.name) held
    WHERE c <> h
  UNION ALL
  SELECT format('the tally of blobs is %s, and there are %s', c, h) FROM
    (SELECT row(coalesce(sum(blobs), 0), coalesce(sum(bytes), 0))::text AS c FROM ps.tally) counted,
    (SELECT row(count(*), coalesce(sum(size), 0))::text AS h FROM ps.blobs) held
    WHERE c <> h
$$;
