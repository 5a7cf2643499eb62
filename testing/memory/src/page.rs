//! Pages of names: what is left out, what is rolled up, and where the next one begins.

use partstore::UploadId;
use partstore::backend::Names;

/// One page.
pub struct Page<T> {
    pub entries: Vec<T>,
    pub common_prefixes: Vec<String>,
    /// The last entry or common prefix, if more follow. A common prefix has no id.
    pub next: Option<(String, Option<UploadId>)>,
}

/// Makes a page of names in order, each with the id that belongs to it and with what it stands for.
pub fn page<'a, T>(
    names: &Names<'_>,
    all: impl Iterator<Item = (&'a str, UploadId, T)>,
) -> Page<T> {
    let mut page = Page {
        entries: Vec::new(),
        common_prefixes: Vec::new(),
        next: None,
    };
    let mut last = None;
    for (key, id, entry) in all {
        if !key.starts_with(names.prefix) || is_before(names, key, id) {
            continue;
        }
        let common = rolled_up(names, key);
        if common.is_some() && common == page.common_prefixes.last().map(String::as_str) {
            continue;
        }
        if page.entries.len() + page.common_prefixes.len() == names.limit {
            page.next = last;
            break;
        }
        last = if let Some(common) = common {
            page.common_prefixes.push(common.to_owned());
            Some((common.to_owned(), None))
        } else {
            page.entries.push(entry);
            Some((key.to_owned(), Some(id)))
        };
    }
    page
}

/// Whether a name was on an earlier page.
fn is_before(names: &Names<'_>, key: &str, id: UploadId) -> bool {
    let Some(after) = names.after else {
        return false;
    };
    if let Some(after_id) = names.after_id {
        return (key, id) <= (after, after_id);
    }
    let rolled = rolled_up(names, after) == Some(after) && key.starts_with(after);
    key <= after || rolled
}

/// The common prefix that a key is rolled up to.
fn rolled_up<'k>(names: &Names<'_>, key: &'k str) -> Option<&'k str> {
    let delimiter = names.delimiter?;
    let behind = key.strip_prefix(names.prefix)?;
    let end = names.prefix.len() + behind.find(delimiter)? + delimiter.len();
    key.get(..end)
}
