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

const NO_UPLOAD_KEY: Change = Tables("ALTER TABLE ps.parts DROP CONSTRAINT parts_upload_fkey");
const NO_CONTENT_KEY: Change = Tables("ALTER TABLE ps.parts DROP CONSTRAINT parts_content_fkey");
const NO_KEY_KEY: Change = Tables("ALTER TABLE ps.keys DROP CONSTRAINT keys_object_fkey");

/// All of them. A foreign key is often the second defence: then both are taken away, too.
pub const ALL: &[Sabotage] = &[
    without(
        "a put does not lock its upload",
        &[Text(
            "put_part_v1",
            "completed IS NULL FOR SHARE",
            "completed IS NULL",
        )],
    ),
    without(
        "a put does not lock its upload, and parts have no foreign key to uploads",
        &[
            Text(
                "put_part_v1",
                "completed IS NULL FOR SHARE",
                "completed IS NULL",
            ),
            NO_UPLOAD_KEY,
        ],
    ),
    without(
        "a put does not look whether the upload is open",
        &[Text(
            "put_part_v1",
            "completed IS NULL FOR SHARE",
            "true FOR SHARE",
        )],
    ),
    without(
        "a put does not lock the part that it replaces",
        &[Text(
            "put_part_v1",
            "number = p_number FOR UPDATE",
            "number = p_number",
        )],
    ),
    without(
        "a put forgets what it has replaced",
        &[Text(
            "put_part_v1",
            "IF old.content <> p_content THEN",
            "IF false THEN",
        )],
    ),
    without(
        "a put does not use its token",
        &[Text(
            "put_part_v1",
            "UPDATE ps.tokens SET answer = o_stored",
            "UPDATE ps.tokens SET answer = NULL",
        )],
    ),
    without(
        "a verb does not use its token",
        &[Text(
            "use_token_v1",
            "SET answer = p_answer",
            "SET answer = NULL",
        )],
    ),
    without(
        "a used token is doomed all the same",
        &[Text("doom_v1", "AND answer IS NULL RETURNING", "RETURNING")],
    ),
    without(
        "used tokens of dead servers are doomed",
        &[Text("bury_v1", "AND answer IS NULL RETURNING", "RETURNING")],
    ),
    without(
        "unused tokens of dead servers are forgotten",
        &[Text("bury_v1", "FROM gone;", "FROM gone WHERE false;")],
    ),
    without(
        "the name of a loser is forgotten",
        &[Text(
            "refer_v1",
            "    INSERT INTO ps.doomed (name) VALUES (p_name);\n",
            "    NULL;\n",
        )],
    ),
    without(
        "a reference does not lock its blob",
        &[Text(
            "refer_v1",
            "FOR KEY SHARE;\n    IF FOUND THEN RETURN true",
            ";\n    IF FOUND THEN RETURN true",
        )],
    ),
    without(
        "a reference does not lock its blob, and parts have no foreign key to blobs",
        &[
            Text(
                "refer_v1",
                "FOR KEY SHARE;\n    IF FOUND THEN RETURN true",
                ";\n    IF FOUND THEN RETURN true",
            ),
            NO_CONTENT_KEY,
        ],
    ),
    without("parts have no foreign key to blobs", &[NO_CONTENT_KEY]),
    without("parts have no foreign key to uploads", &[NO_UPLOAD_KEY]),
    without("keys have no foreign key to objects", &[NO_KEY_KEY]),
];
