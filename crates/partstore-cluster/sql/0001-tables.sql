-- Tables of the catalog. `ps.` stands for the schema of the store.
-- Names, keys and ids are `bytea`: they sort by their bytes on every engine.

-- One row. `epoch` is a logical clock: it advances when names are stamped for removal.
CREATE TABLE ps.store (
  one bool PRIMARY KEY DEFAULT true CHECK (one),
  epoch bigint NOT NULL
);
INSERT INTO ps.store (epoch) VALUES (1);

-- One row for each open store. Nothing that was stamped after `reads` is removed while the lease holds. Tokens below
-- `reserved` have been made, and are never made again.
CREATE TABLE ps.sessions (
  id bytea PRIMARY KEY,
  expires timestamptz NOT NULL,
  reads bigint NOT NULL,
  reserved bigint NOT NULL DEFAULT 0
);

-- What makes a verb happen once, and what names an object in the bucket before it exists.
-- `answer` is null until the verb has happened. `multipart` is the id of an upload to the bucket. The key begins with the
-- number, so a list of numbers is found by index whatever is known of the table.
CREATE TABLE ps.tokens (
  session bytea NOT NULL REFERENCES ps.sessions,
  seq bigint NOT NULL,
  answer bigint,
  multipart text,
  PRIMARY KEY (seq, session)
) WITH (fillfactor = 50);

CREATE TABLE ps.namespaces (
  name bytea PRIMARY KEY,
  created bigint,
  quota_bytes bigint,
  quota_keys bigint
);
INSERT INTO ps.namespaces (name) VALUES ('');

-- What a namespace holds is the sum over its lanes, so no row is hot.
CREATE TABLE ps.usage (
  namespace bytea NOT NULL,
  lane smallint NOT NULL,
  uploads bigint NOT NULL DEFAULT 0,
  objects bigint NOT NULL DEFAULT 0,
  keys bigint NOT NULL DEFAULT 0,
  parts bigint NOT NULL DEFAULT 0,
  bytes bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (namespace, lane)
) WITH (fillfactor = 20);

-- Open uploads, and objects: those have `completed`. `identity` tells a completion from another.
CREATE TABLE ps.uploads (
  id bytea PRIMARY KEY,
  namespace bytea NOT NULL,
  key bytea NOT NULL,
  initiated bigint NOT NULL,
  metadata bytea NOT NULL,
  wanted int NOT NULL DEFAULT 0,
  composite int NOT NULL DEFAULT 0,
  completed bigint,
  modified bigint,
  size bigint,
  parts int,
  etag text,
  sums bytea,
  composite_sums bytea,
  identity bytea
);
CREATE UNIQUE INDEX uploads_open ON ps.uploads (namespace, key, id) WHERE completed IS NULL;
CREATE INDEX uploads_old ON ps.uploads (initiated) WHERE completed IS NULL;

-- The current object of each key. Null only inside a transaction.
CREATE TABLE ps.keys (
  namespace bytea NOT NULL,
  key bytea NOT NULL,
  object bytea REFERENCES ps.uploads,
  PRIMARY KEY (namespace, key)
);
CREATE INDEX keys_object ON ps.keys (object);

-- Where the bytes with a hash lie now. A name is used once.
CREATE TABLE ps.blobs (
  content bytea PRIMARY KEY,
  name bytea NOT NULL,
  size bigint NOT NULL,
  crcs bytea NOT NULL,
  damaged bool NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX blobs_name ON ps.blobs (name);
CREATE INDEX blobs_damaged ON ps.blobs (content) WHERE damaged;
CREATE TABLE ps.tally (
  lane smallint PRIMARY KEY,
  blobs bigint NOT NULL,
  bytes bigint NOT NULL
) WITH (fillfactor = 20);

-- The foreign keys are the engine's own proof that nothing is removed to which something refers.
CREATE TABLE ps.parts (
  upload bytea NOT NULL REFERENCES ps.uploads,
  number int NOT NULL,
  content bytea NOT NULL REFERENCES ps.blobs,
  size bigint NOT NULL,
  etag bytea NOT NULL,
  sums bytea NOT NULL,
  stored bigint NOT NULL,
  PRIMARY KEY (upload, number)
);
CREATE INDEX parts_content ON ps.parts (content);

-- A log: each reference that was lost has a row of its own.
CREATE TABLE ps.garbage (
  seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  content bytea NOT NULL
);

-- Names whose objects are to be removed. A blob that lost its last reference keeps its row here, so that it
-- can be read and taken back until `removing`. Other names have no content.
-- `since` is the epoch of the stamp. `again` is when a removal is tried (again). `late`: a write may still
-- be on its way, so the object is removed once more, a day later.
CREATE TABLE ps.doomed (
  name bytea PRIMARY KEY,
  content bytea,
  size bigint,
  crcs bytea,
  damaged bool NOT NULL DEFAULT false,
  multipart text,
  since bigint,
  removing bool NOT NULL DEFAULT false,
  again timestamptz,
  late bool NOT NULL DEFAULT false
);
CREATE INDEX doomed_content ON ps.doomed (content) WHERE content IS NOT NULL;
CREATE INDEX doomed_new ON ps.doomed (name) WHERE since IS NULL;
