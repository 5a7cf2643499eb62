//! The documents that the server writes.

#![expect(
    clippy::struct_field_names,
    reason = "the fields have the protocol's names"
)]

use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Error<'a> {
    pub code: &'a str,
    pub message: &'a str,
    pub resource: &'a str,
    pub request_id: &'a str,
    pub trace_id: &'a str,
}

/// The owner of everything here, because the server knows no users.
#[derive(Serialize, Default)]
pub struct Owner {
    #[serde(rename = "ID")]
    id: Everybody,
    #[serde(rename = "DisplayName")]
    display_name: Everybody,
}

#[derive(Serialize, Default)]
enum Everybody {
    #[default]
    #[serde(rename = "partstore")]
    Partstore,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InitiateMultipartUploadResult<'a> {
    pub bucket: &'a str,
    pub key: &'a str,
    pub upload_id: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CompleteMultipartUploadResult<'a> {
    pub location: String,
    pub bucket: &'a str,
    pub key: &'a str,
    #[serde(rename = "ETag")]
    pub etag: String,
}

/// The two have the same content.
#[derive(Serialize)]
pub enum CopyResult {
    CopyPartResult(Copied),
    CopyObjectResult(Copied),
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Copied {
    #[serde(rename = "ETag")]
    pub etag: String,
    #[serde(rename = "CRC64", skip_serializing_if = "Option::is_none")]
    pub crc64: Option<u64>,
    pub last_modified: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListPartsResult<'a> {
    pub bucket: &'a str,
    #[serde(rename = "Encoding-type", skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<&'static str>,
    pub key: String,
    pub upload_id: String,
    pub initiator: Owner,
    pub owner: Owner,
    pub storage_class: String,
    pub part_number_marker: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_part_number_marker: Option<u32>,
    pub max_parts: u32,
    pub is_truncated: bool,
    pub part: Vec<Part>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Part {
    pub part_number: u16,
    pub last_modified: String,
    #[serde(rename = "ETag")]
    pub etag: String,
    pub size: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListMultipartUploadsResult<'a> {
    pub bucket: &'a str,
    #[serde(rename = "Encoding-Type", skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<&'static str>,
    pub key_marker: String,
    pub upload_id_marker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_key_marker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_upload_id_marker: Option<String>,
    pub max_uploads: u32,
    pub is_truncated: bool,
    pub prefix: String,
    pub delimiter: String,
    pub upload: Vec<Upload>,
    pub common_prefixes: Vec<CommonPrefix>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Upload {
    pub key: String,
    pub upload_id: String,
    pub storage_class: String,
    pub initiator: Owner,
    pub owner: Owner,
    pub initiated: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CommonPrefix {
    pub prefix: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListBucketResult<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<&'static str>,
    pub prefix: String,
    pub marker: String,
    pub max_keys: u32,
    pub delimiter: String,
    pub is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_marker: Option<String>,
    pub contents: Vec<Contents>,
    pub common_prefixes: Vec<CommonPrefix>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListVersionsResult<'a> {
    pub name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding_type: Option<&'static str>,
    pub prefix: String,
    pub key_marker: String,
    pub version_id_marker: &'static str,
    pub max_keys: u32,
    pub delimiter: String,
    pub is_truncated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_key_marker: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_version_id_marker: Option<&'static str>,
    pub version: Vec<Version>,
    pub common_prefixes: Vec<CommonPrefix>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Version {
    pub key: String,
    pub version_id: &'static str,
    pub is_latest: bool,
    pub last_modified: String,
    #[serde(rename = "ETag")]
    pub etag: String,
    pub size: u64,
    pub storage_class: String,
    pub owner: Owner,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListAllMyBucketsResult {
    pub owner: Owner,
    pub buckets: Buckets,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Buckets {
    pub bucket: Vec<Bucket>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Bucket {
    pub name: String,
    pub location: String,
    pub creation_date: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PostResponse<'a> {
    pub location: String,
    pub bucket: &'a str,
    pub key: &'a str,
    #[serde(rename = "ETag")]
    pub etag: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Contents {
    pub key: String,
    pub last_modified: String,
    #[serde(rename = "ETag")]
    pub etag: String,
    pub size: u64,
    pub owner: Owner,
    pub storage_class: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "PascalCase")]
pub struct DeleteResult {
    pub deleted: Vec<Deleted>,
    pub error: Vec<NotDeleted>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Deleted {
    pub key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct NotDeleted {
    pub key: String,
    pub code: &'static str,
    pub message: String,
}
