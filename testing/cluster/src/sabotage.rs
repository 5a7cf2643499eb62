//! Steps of the protocol, each of which can be taken away alone.

use crate::functions::with_change;

/// One step that is taken away.
#[derive(Debug)]
pub struct Sabotage {
    pub name: &'static str,
    changes: &'static [Change],
}

#[derive(Debug)]
enum Change {
    /// In this function this text becomes that one.
    Text(&'static str, &'static str, &'static str),
    /// A statement on the tables.
    Tables(&'static str),
}

use Change::{Tables, Text};

impl Sabotage {
    /// The functions without the step, and what else is run.
    pub fn apply(&self, functions: &str) -> String {
        let changes = self.changes.iter();
        changes.fold(functions.to_owned(), |functions, change| match change {
            Text(function, from, to) => with_change(&functions, function, from, to),
            Tables(statement) => format!("{functions}\n{statement};\n"),
        })
    }

    pub fn find(name: &str) -> Option<&'static Self> {
        ALL.iter().find(|one| one.name == name)
    }
}

const fn without(name: &'static str, changes: &'static [Change]) -> Sabotage {
    Sabotage { name, changes }
}

const NO_CONTENT_KEY: Change = Tables("ALTER TABLE ps.parts DROP CONSTRAINT parts_content_fkey");
const NO_KEY_KEY: Change = Tables("ALTER TABLE ps.keys DROP CONSTRAINT keys_object_fkey");

const UNLOCKED_BLOB: Change = Text(
    "refer_v2",
    "FOR KEY SHARE;\n    IF FOUND THEN RETURN -1",
    ";\n    IF FOUND THEN RETURN -1",
);
const UNLOCKED_UPLOAD: Change = Text(
    "put_parts_v2",
    "WHERE id = p_upload[1] FOR SHARE",
    "WHERE id = p_upload[1]",
);
const UNLOCKED_UPLOADS: Change = Text(
    "put_parts_v2",
    "completed IS NULL OFFSET 0 FOR SHARE SKIP LOCKED",
    "completed IS NULL OFFSET 0",
);
const UNLOCKED_BLOBS: Change = Text(
    "put_parts_v2",
    "ORDER BY content FOR KEY SHARE",
    "ORDER BY content",
);

/// All of them. A foreign key is often the second defence: then both are taken away.
pub const ALL: &[Sabotage] = &[
    without(
        "put: its upload is not locked",
        &[UNLOCKED_UPLOAD, UNLOCKED_UPLOADS],
    ),
    without(
        "put: an upload that is not open will do",
        &[Text(
            "put_parts_v2",
            "AND u.completed IS NULL OFFSET 0 FOR SHARE SKIP LOCKED",
            "OFFSET 0 FOR SHARE SKIP LOCKED",
        )],
    ),
    without(
        "put: the part that it replaces is not locked",
        &[Text(
            "put_part_v2",
            "number = p_number FOR UPDATE",
            "number = p_number",
        )],
    ),
    without(
        "put: what it replaces is not noted as garbage",
        &[Text(
            "put_part_v2",
            "IF old.content <> p_content THEN",
            "IF false THEN",
        )],
    ),
    without(
        "put: its token is not used",
        &[Text(
            "put_parts_v2",
            "SET answer = l_now WHERE",
            "SET answer = NULL WHERE",
        )],
    ),
    without(
        "put: a token that is used will do",
        &[Text(
            "put_parts_v2",
            " AND answer IS NULL RETURNING",
            " RETURNING",
        )],
    ),
    without(
        "put: the token of one that is refused stays used",
        &[Text(
            "put_parts_v2",
            "SET answer = CASE o_outcome WHEN 0 THEN o_stored END",
            "SET answer = o_stored",
        )],
    ),
    without(
        "put: a number that has a part already is taken for done",
        &[Text(
            "put_parts_v2",
            " WHERE (p_upload[place], p_number[place]) IN (SELECT upload, number FROM put)",
            "",
        )],
    ),
    without(
        "put: a namespace with a quota is not told from others",
        &[Text(
            "put_parts_v2",
            "quota_bytes IS NOT NULL OR quota_keys IS NOT NULL AS has_quota",
            "false AS has_quota",
        )],
    ),
    without(
        "put: a repair is not told from others",
        &[Text(
            "put_parts_v2",
            "o.is_there IS NULL AND NOT q.repairs",
            "o.is_there IS NULL",
        )],
    ),
    without(
        "put: its blob is not locked",
        &[UNLOCKED_BLOB, UNLOCKED_BLOBS],
    ),
    without(
        "put: its blob is not locked, no foreign key to it",
        &[UNLOCKED_BLOB, UNLOCKED_BLOBS, NO_CONTENT_KEY],
    ),
    without(
        "put: the name that another was faster with is forgotten",
        &[Text(
            "refer_v2",
            "  INSERT INTO ps.doomed (name) VALUES (p_name);",
            "  NULL;",
        )],
    ),
    without(
        "puts: the names that others were faster with are forgotten",
        &[Text(
            "put_parts_v2",
            "AND f.name NOT IN (SELECT s.name FROM stored s)",
            "AND false",
        )],
    ),
    without(
        "put: a doomed blob is taken back while it is removed",
        &[
            Text(
                "refer_v2",
                "content = p_content AND NOT removing\n",
                "content = p_content\n",
            ),
            Text(
                "refer_v2",
                "      AND NOT removing RETURNING",
                "      RETURNING",
            ),
        ],
    ),
    without(
        "verbs: their tokens are not used",
        &[Text(
            "use_token_v1",
            "SET answer = p_answer",
            "SET answer = NULL",
        )],
    ),
    without(
        "tokens: used ones are doomed, too",
        &[Text("doom_v1", "AND answer IS NULL RETURNING", "RETURNING")],
    ),
    without(
        "tokens: used ones of dead servers are doomed, too",
        &[Text("bury_v1", "AND answer IS NULL RETURNING", "RETURNING")],
    ),
    without(
        "tokens: unused ones of dead servers are forgotten",
        &[Text(
            "bury_v1",
            "true FROM gone",
            "true FROM gone WHERE false",
        )],
    ),
    without(
        "complete: its upload is not locked",
        &[Text(
            "complete_v1",
            "WHERE id IN (p_upload, p_replaced) ORDER BY id FOR UPDATE",
            "WHERE id IN (p_upload, p_replaced)",
        )],
    ),
    without(
        "complete: its upload is not locked, no foreign key to it",
        &[
            Text(
                "complete_v1",
                "WHERE id IN (p_upload, p_replaced) ORDER BY id FOR UPDATE",
                "WHERE id IN (p_upload, p_replaced)",
            ),
            NO_KEY_KEY,
        ],
    ),
    without(
        "complete: the parts are not compared again",
        &[Text(
            "complete_v1",
            "ps.digest_v1(p_upload) <> p_digest",
            "false",
        )],
    ),
    without(
        "complete: an upload that is completed by now will do",
        &[Text(
            "complete_v1",
            "u.completed IS NOT NULL OR ps.digest_v1(p_upload)",
            "ps.digest_v1(p_upload)",
        )],
    ),
    without(
        "complete: what is not listed is not noted as garbage",
        &[Text(
            "complete_v1",
            "SELECT DISTINCT content FROM gone",
            "SELECT DISTINCT content FROM gone WHERE false",
        )],
    ),
    without(
        "keys: not locked",
        &[Text(
            "lock_key_v1",
            "AND key = p_key FOR UPDATE",
            "AND key = p_key",
        )],
    ),
    without(
        "keys: not locked, no foreign key to objects",
        &[
            Text(
                "lock_key_v1",
                "AND key = p_key FOR UPDATE",
                "AND key = p_key",
            ),
            NO_KEY_KEY,
        ],
    ),
    without(
        "keys: the condition is not looked at again",
        &[Text("lock_key_v1", "IF NOT l_holds THEN", "IF false THEN")],
    ),
    without(
        "keys: an old object is not locked before it is removed",
        &[Text(
            "set_key_v1",
            "WHERE id = p_old FOR UPDATE",
            "WHERE id = p_old",
        )],
    ),
    without(
        "abort: its upload is not locked",
        &[Text("lock_open_v1", " FOR UPDATE;", ";")],
    ),
    without(
        "drop: parts are not noted as garbage",
        &[Text(
            "drop_v1",
            "SELECT DISTINCT content FROM gone",
            "SELECT DISTINCT content FROM gone WHERE false",
        )],
    ),
    without(
        "sweep: blobs are not locked",
        &[Text(
            "sweep_v1",
            "content = ANY (l_content) FOR UPDATE SKIP LOCKED",
            "content = ANY (l_content)",
        )],
    ),
    without(
        "sweep: blobs are not locked, no foreign key to them",
        &[
            Text(
                "sweep_v1",
                "content = ANY (l_content) FOR UPDATE SKIP LOCKED",
                "content = ANY (l_content)",
            ),
            NO_CONTENT_KEY,
        ],
    ),
    without(
        "sweep: it looks for parts before it has the lock",
        &[
            Text(
                "sweep_v1",
                "content = ANY (l_content) FOR UPDATE",
                "content = ANY (l_content) AND NOT EXISTS (SELECT 1 FROM ps.parts p WHERE p.content = blobs.content) FOR UPDATE",
            ),
            Text(
                "sweep_v1",
                "content = ANY (l_mine) AND NOT EXISTS (SELECT 1 FROM ps.parts p WHERE p.content = b.content)",
                "content = ANY (l_mine)",
            ),
        ],
    ),
    without(
        "sweep: it looks for parts before it has the lock, no foreign key to blobs",
        &[
            Text(
                "sweep_v1",
                "content = ANY (l_content) FOR UPDATE",
                "content = ANY (l_content) AND NOT EXISTS (SELECT 1 FROM ps.parts p WHERE p.content = blobs.content) FOR UPDATE",
            ),
            Text(
                "sweep_v1",
                "content = ANY (l_mine) AND NOT EXISTS (SELECT 1 FROM ps.parts p WHERE p.content = b.content)",
                "content = ANY (l_mine)",
            ),
            NO_CONTENT_KEY,
        ],
    ),
    without(
        "sweep: parts are not looked for, no foreign key to blobs",
        &[
            Text(
                "sweep_v1",
                "content = ANY (l_mine) AND NOT EXISTS (SELECT 1 FROM ps.parts p WHERE p.content = b.content)",
                "content = ANY (l_mine)",
            ),
            NO_CONTENT_KEY,
        ],
    ),
    without(
        "sweep: it waits for garbage that another looks at",
        &[Text(
            "sweep_v1",
            "LIMIT p_limit FOR UPDATE SKIP LOCKED",
            "LIMIT p_limit FOR UPDATE",
        )],
    ),
    without(
        "sweep: garbage is not locked",
        &[Text(
            "sweep_v1",
            "LIMIT p_limit FOR UPDATE SKIP LOCKED",
            "LIMIT p_limit",
        )],
    ),
    without(
        "sweep: it waits for blobs that are in use",
        &[Text(
            "sweep_v1",
            "(l_content) FOR UPDATE SKIP LOCKED",
            "(l_content) FOR UPDATE",
        )],
    ),
    without(
        "sweep: garbage of blobs in use is forgotten",
        &[Text(
            "sweep_v1",
            "\n    AND (g.content = ANY (l_mine) OR NOT EXISTS (SELECT 1 FROM ps.blobs b WHERE b.content = g.content))",
            "",
        )],
    ),
    without(
        "stamp: the epoch stays",
        &[Text("stamp_v2", "epoch = epoch + 1", "epoch = epoch")],
    ),
    without(
        "take: what the others read is removed",
        &[Text("take_v2", "x.since <= l_others AND ", "")],
    ),
    without(
        "take: what this server opens is removed",
        &[Text("take_v2", "x.since <= p_opening AND ", "")],
    ),
    without(
        "take: what this server reads is removed",
        &[Text("take_v2", " AND x.content <> ALL (p_held)", "")],
    ),
    without(
        "take: not stamped ones are taken, too",
        &[Text(
            "take_v2",
            "(l_seen) AND x.since <= l_others AND (",
            "(l_seen) AND coalesce(x.since, 0) <= l_others AND (x.since IS NULL OR ",
        )],
    ),
    without(
        "take: two sweeps wait for each other",
        &[Text(
            "take_v2",
            "\n      FOR UPDATE SKIP LOCKED",
            "\n      FOR UPDATE",
        )],
    ),
    without(
        "take: nothing is locked",
        &[Text(
            "take_v2",
            "\n      FOR UPDATE SKIP LOCKED",
            "LIMIT p_limit",
        )],
    ),
    without(
        "take: a minute is not waited for",
        &[Text(
            "take_v2",
            "\n        AND x.again < clock_timestamp()",
            "",
        )],
    ),
    without(
        "removed: names that are not being removed go, too",
        &[Text(
            "removed_v1",
            "NOT late AND removing AND",
            "NOT late AND",
        )],
    ),
    without(
        "heartbeat: a lease that is over comes back",
        &[Text(
            "heartbeat_v1",
            " AND expires > clock_timestamp();",
            ";",
        )],
    ),
    without(
        "heartbeat: it publishes that nothing is read",
        &[Text(
            "heartbeat_v1",
            "reads = p_reads",
            "reads = 9223372036854775807",
        )],
    ),
    without(
        "reap: those alive are reaped, too",
        &[Text(
            "reap_v1",
            "WHERE expires < clock_timestamp() FOR",
            "FOR",
        )],
    ),
    without(
        "quota: the namespace is not locked",
        &[
            Text("over_quota_v1", " FOR NO KEY UPDATE;", ";"),
            Text("put_parts_v2", " ORDER BY name FOR NO KEY UPDATE;", ";"),
        ],
    ),
    without(
        "namespaces: not held by what is put there",
        &[Text("hold_namespace_v1", " FOR KEY SHARE;", ";")],
    ),
    without(
        "tables: no foreign key of parts to blobs",
        &[NO_CONTENT_KEY],
    ),
    without("tables: no foreign key of keys to objects", &[NO_KEY_KEY]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::FUNCTIONS;

    #[test]
    fn every_step_is_there_to_be_taken_away() {
        for one in ALL {
            assert_ne!(one.apply(FUNCTIONS), FUNCTIONS, "{}", one.name);
        }
    }
}
