//! The documents that clients send.

use partstore::CompletedPart;
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::Deserialize;

use crate::cors::Configuration;
use crate::cos::lifecycle;
use crate::cos::parameters::check_version;
use crate::cos::refusal::Refusal;
use crate::lifecycle::Rule;

/// Known by the root element; a document with another one is refused.
#[derive(Deserialize)]
enum Document {
    CompleteMultipartUpload(Completion),
    Delete(Deletion),
    #[serde(rename = "CORSConfiguration")]
    Cors(Configuration),
    #[serde(rename = "LifecycleConfiguration")]
    Lifecycle(lifecycle::Configuration),
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
    /// The answer lists failures only.
    pub quiet: bool,
}

/// Reads a document.
fn parse(document: &[u8]) -> Result<Document, Refusal> {
    let malformed =
        |reason: String| Refusal::malformed_xml(format!("the body is not understood: {reason}"));
    let text = str::from_utf8(document).map_err(|error| malformed(error.to_string()))?;
    check_form(text).map_err(malformed)?;
    quick_xml::de::from_str(text).map_err(|error| malformed(error.to_string()))
}

/// Refuses what serde ignores: text and elements beside the root element, and text between its children. No client
/// means such a list. Document types are refused, too, and with them entities that a document defines.
fn check_form(text: &str) -> Result<(), String> {
    let mut reader = Reader::from_str(text);
    let (mut depth, mut roots) = (0_u32, 0);
    let stray = || "it has text where none belongs".to_owned();
    loop {
        match reader.read_event().map_err(|error| error.to_string())? {
            Event::Eof if depth == 0 && roots == 1 => return Ok(()),
            Event::Eof => return Err("it is not one whole element".to_owned()),
            Event::DocType(_) => return Err("it has a document type".to_owned()),
            Event::Start(_) => {
                roots += u32::from(depth == 0);
                depth += 1;
            }
            Event::Empty(_) => roots += u32::from(depth == 0),
            Event::End(_) => depth = depth.saturating_sub(1),
            Event::Text(text) if depth < 2 && !text.trim().is_empty() => return Err(stray()),
            Event::CData(_) | Event::GeneralRef(_) if depth < 2 => return Err(stray()),
            _ => {}
        }
    }
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
    for object in &list.objects {
        check_version(object.version.as_deref().unwrap_or_default().trim())?;
    }
    let keys = list.objects.into_iter().map(|object| object.key).collect();
    Ok(ToDeleteAll {
        keys,
        quiet: list.quiet,
    })
}

/// The rules of a PUT Bucket lifecycle.
pub fn parse_lifecycle(document: &[u8]) -> Result<Vec<Rule>, Refusal> {
    match parse(document)? {
        Document::Lifecycle(configuration) => configuration.into_rules(),
        _ => Err(another_root()),
    }
}

/// The rules of a PUT Bucket cors.
pub fn parse_cors(document: &[u8]) -> Result<Configuration, Refusal> {
    const MOST: usize = 100;
    let Document::Cors(configuration) = parse(document)? else {
        return Err(another_root());
    };
    if configuration.rules.is_empty() || configuration.rules.len() > MOST {
        return Err(Refusal::malformed_xml(format!(
            "a configuration has 1 to {MOST} rules"
        )));
    }
    for rule in &configuration.rules {
        rule.check().map_err(Refusal::malformed_xml)?;
    }
    Ok(configuration)
}
