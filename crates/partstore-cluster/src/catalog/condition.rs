//! Conditions on a key, as arguments of a verb.

use partstore::Condition;

use crate::database::Arguments;

/// Adds kind, ETag and id. The kind is null if the key is left alone.
pub(super) fn with_condition(arguments: Arguments, condition: Option<Condition>) -> Arguments {
    let (kind, etag, id) = match condition {
        None => (None, None, None),
        Some(Condition::Always) => (Some(0), None, None),
        Some(Condition::IfAbsent) => (Some(1), None, None),
        Some(Condition::IfMatch(etag)) => (Some(2), Some(etag.to_string()), None),
        Some(Condition::IfCurrent(id)) => (Some(3), None, Some(id.to_bytes().to_vec())),
        // One that this version does not know: no object has no id, so it never holds.
        Some(_) => (Some(3), None, None),
    };
    arguments.with(kind).with(etag).with(id)
}
