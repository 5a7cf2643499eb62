//! Whether an object in the cluster is that of the directory.

use partstore::{Checksums, Object, ObjectPart, ObjectReader};

use crate::failure::Done;

/// How much of an object another one has.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// All but what a cluster gives itself: id and times.
    Same,
    /// Everything but the metadata.
    OtherMetadata,
    Other,
}

/// Compares what the rows say. No byte is read: the hashes of the parts are among the rows.
pub fn likeness(source: &ObjectReader, target: &ObjectReader) -> Done<Likeness> {
    let (ours, theirs) = (source.object(), target.object());
    if !is_like(ours, theirs) {
        return Ok(Likeness::Other);
    }
    for (ours, theirs) in source.parts().zip(target.parts()) {
        if !is_like_part(&ours?, &theirs?) {
            return Ok(Likeness::Other);
        }
    }
    Ok(if ours.metadata == theirs.metadata {
        Likeness::Same
    } else {
        Likeness::OtherMetadata
    })
}

fn is_like(ours: &Object, theirs: &Object) -> bool {
    (ours.etag, ours.size, ours.parts) == (theirs.etag, theirs.size, theirs.parts)
        && has_all(&ours.checksums, &theirs.checksums)
        && has_all(&ours.composite, &theirs.composite)
}

fn is_like_part(ours: &ObjectPart, theirs: &ObjectPart) -> bool {
    let place = |placed: &ObjectPart| (placed.offset, placed.part.number, placed.part.size);
    place(ours) == place(theirs)
        && (ours.part.etag, ours.part.content) == (theirs.part.etag, theirs.part.content)
        && has_all(&ours.part.checksums, &theirs.part.checksums)
}

/// A store of an older format may have computed fewer of them.
fn has_all(ours: &Checksums, theirs: &Checksums) -> bool {
    ours.iter()
        .all(|sum| theirs.get(sum.algorithm()) == Some(sum))
}
