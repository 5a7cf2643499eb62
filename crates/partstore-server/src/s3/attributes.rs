//! What an object consists of.

use partstore::ObjectPart;
use s3s::dto::{
    GetObjectAttributesInput, GetObjectAttributesOutput, GetObjectAttributesParts,
    ObjectPart as PartAnswer, StorageClass, Timestamp,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::checksums::{self, Named, with_checksums};
use super::conditions::etag;
use super::objects::{find, no_versions};
use super::{Objects, error, key};

/// The longest page of parts.
const MAX_PARTS: usize = 1000;

pub async fn get_object_attributes(
    objects: &Objects,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = request.input;
    no_versions(input.version_id.as_deref())?;
    let wants = |name: &str| {
        // s3s takes a header with several names for one name.
        let asked = input.object_attributes.iter();
        let mut asked = asked.flat_map(|names| names.as_str().split(','));
        asked.any(|one| one.trim() == name)
    };
    let (store, name) = (objects.store.clone(), key(&input.bucket, &input.key));
    let (object, parts) = if wants("ObjectParts") {
        blocking(&store, move |store| {
            let reader = store.open_key(name).map_err(error::of)?;
            let parts = reader.parts().collect::<Result<_, _>>();
            Ok((reader.object().clone(), parts.map_err(error::of)?))
        })
        .await?
    } else {
        (
            find(objects, (&input.bucket, &input.key)).await?,
            Vec::new(),
        )
    };
    let kind = checksums::type_of(&object);
    let most = input.max_parts.unwrap_or(1000);
    let most = usize::try_from(most).unwrap_or(0).min(MAX_PARTS);
    let after = input.part_number_marker.unwrap_or(0);
    let output = GetObjectAttributesOutput {
        // Without quotes, other than everywhere else.
        e_tag: wants("ETag").then(|| etag(object.etag)),
        object_size: wants("ObjectSize")
            .then(|| i64::try_from(object.size).ok())
            .flatten(),
        storage_class: wants("StorageClass")
            .then(|| StorageClass::from_static(StorageClass::STANDARD)),
        checksum: wants("Checksum").then(|| Named::of_object(&object).answer(kind)),
        // An object that was put as a whole has no parts, to a client.
        object_parts: (wants("ObjectParts") && object.etag.to_string().contains('-'))
            .then(|| parts_after(&parts, after, most)),
        last_modified: Some(Timestamp::from(object.modified_at)),
        ..GetObjectAttributesOutput::default()
    };
    Ok(S3Response::new(output))
}

fn parts_after(parts: &[ObjectPart], after: i32, most: usize) -> GetObjectAttributesParts {
    let number = |placed: &ObjectPart| i32::from(placed.part.number.get());
    let mut listed = parts.iter().filter(|placed| number(placed) > after);
    let page: Vec<_> = listed.by_ref().take(most).collect();
    let answer = |placed: &&ObjectPart| {
        let named = Named::of(&placed.part.checksums);
        with_checksums!(
            named,
            PartAnswer {
                part_number: Some(number(placed)),
                size: i64::try_from(placed.part.size).ok(),
            }
        )
    };
    GetObjectAttributesParts {
        is_truncated: Some(listed.next().is_some()),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: page.last().map(|last| number(last)),
        part_number_marker: Some(after),
        parts: Some(page.iter().map(answer).collect()),
        total_parts_count: i32::try_from(parts.len()).ok(),
    }
}
