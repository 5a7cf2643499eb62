-- What step 3 has changed of the verbs. Servers before it call the functions of `functions-v1.sql`, which stay.
--
-- Locks are taken in this order: token, keys, uploads, namespaces, a part that is replaced, blobs, doomed, new parts, usage,
-- tally. Several of a kind are locked in the order of their keys. The codes of refusals are those of `functions-v1.sql`. Two
-- more are only for the server:
--   PS013 the bytes are stored already    PS014 the put is to be made in a call of its own

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
CREATE OR REPLACE FUNCTION ps.put_part_v2(p_lane smallint, p_upload bytea, p_namespace bytea, p_number int, p_content bytea, p_size bigint,
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
-- 3 blob gone, 7 quota exceeded, 13 the bytes are stored already, 14 to be put in a call of its own. Refused ones change
-- nothing. What most puts are is done for all at once: an upload that is free, a number that has no part yet, a quota that has
-- room, bytes that were stored for it or are known. `l_plain` has the places of these, and `l_done` of those that were done.
-- All others wait for nobody here: they are for a call of their own (14), and so nobody waits for what they wait for.
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
  WITH used AS (UPDATE ps.tokens SET answer = l_now WHERE session = p_session AND seq = ANY (p_seq) AND answer IS NULL RETURNING seq)
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
      IF NOT FOUND THEN o_outcome := 2; END IF;
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
          FROM ps.put_part_v2(p_lane, p_upload[1], p_namespace[1], p_number[1], p_content[1], p_size[1], p_etag[1], p_sums[1],
            CASE WHEN l_has_blob THEN NULL ELSE p_name[1] END, p_crcs[1], p_repairs[1], l_has_blob) r;
        IF l_blobs > 0 THEN PERFORM ps.count_blobs_v1(p_lane, l_blobs, l_bytes); END IF;
      END IF;
      UPDATE ps.tokens SET answer = CASE o_outcome WHEN 0 THEN o_stored END WHERE session = p_session AND seq = p_seq[i];
    END IF;
    RETURN NEXT;
  END LOOP;
END $$;

-- An object that is made at once. Each part has a number, a blob, and its digests; at most one brings its blob.
CREATE OR REPLACE FUNCTION ps.put_object_v2(p_session bytea, p_seq bigint, p_lane smallint, p_upload bytea, p_namespace bytea, p_key bytea,
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

-- What does not agree with itself, as one snapshot shows it.
CREATE OR REPLACE FUNCTION ps.inconsistent_v2() RETURNS SETOF text LANGUAGE sql STABLE AS $$
  SELECT * FROM ps.inconsistent_v1()
  UNION ALL
  SELECT format('part %s of upload %s: there is no such upload', p.number, encode(p.upload, 'hex')) FROM ps.parts p
    WHERE NOT EXISTS (SELECT 1 FROM ps.uploads u WHERE u.id = p.upload)
  UNION ALL
  SELECT format('token %s of session %s: there is no such session', t.seq, encode(t.session, 'hex')) FROM ps.tokens t
    WHERE NOT EXISTS (SELECT 1 FROM ps.sessions s WHERE s.id = t.session)
$$;
