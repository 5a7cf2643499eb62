//! The documents that clients send.

use partstore::CompletedPart;
use serde::Deserialize;

use crate::refusal::Refusal;

/// By the root element: a document with another is refused.
#[derive(Deserialize)]
enum Document {
    CompleteMultipartUpload(Completion),
    Delete(Deletion),
}

#[derive(Deserialize)]
struct Completion {
    #[serde(rename = "Part", default)]
    parts: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "PartNumber")]
    number: String,
    #[serde(rename = "ETag")]
    etag: String,
}

#[derive(Deserialize)]
struct Deletion {
    #[serde(rename = "Quiet", default)]
    quiet: bool,
    #[serde(rename = "Object", default)]
    objects: Vec<ToDelete>,
}

#[derive(Deserialize)]
struct ToDelete {
    #[serde(rename = "Key")]
    key: String,
    #[serde(rename = "VersionId")]
    version: Option<String>,
}

/// Objects to delete.
pub struct ToDeleteAll {
    pub keys: Vec<String>,
    /// Only failures are told.
    pub quiet: bool,
}

/// Reads a document. Entities that it defines are not expanded, but refused.
fn parse(document: &[u8]) -> Result<Document, Refusal> {
    let malformed =
        |reason: String| Refusal::malformed_xml(format!("the body is not understood: {reason}"));
    let text = str::from_utf8(document).map_err(|error| malformed(error.to_string()))?;
    quick_xml::de::from_str(text).map_err(|error| malformed(error.to_string()))
}

fn another_root() -> Refusal {
    Refusal::malformed_xml("the body is a document of another request")
}

/// The list of a Complete.
pub fn parse_completion(document: &[u8]) -> Result<Vec<CompletedPart>, Refusal> {
    let Document::CompleteMultipartUpload(list) = parse(document)? else {
        return Err(another_root());
    };
    let part = |line: &Line| CompletedPart::parse(line.number.trim(), &line.etag);
    Ok(list.parts.iter().map(part).collect::<Result<_, _>>()?)
}

/// The list of a Delete Multiple Objects.
pub fn parse_deletion(document: &[u8]) -> Result<ToDeleteAll, Refusal> {
    const MOST: usize = 1000;
    let Document::Delete(list) = parse(document)? else {
        return Err(another_root());
    };
    if list.objects.is_empty() || list.objects.len() > MOST {
        return Err(Refusal::malformed_xml(format!(
            "a deletion lists 1 to {MOST} objects"
        )));
    }
    if list.objects.iter().any(|object| object.version.is_some()) {
        return Err(Refusal::not_implemented("this gateway has no versions"));
    }
    let keys = list.objects.into_iter().map(|object| object.key).collect();
    Ok(ToDeleteAll {
        keys,
        quiet: list.quiet,
    })
}
