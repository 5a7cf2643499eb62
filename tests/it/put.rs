//! Putting a part: R2, R3, R5 to R8, R10 to R14.

use crate::fixture::{Fixture, bytes, files, number, refusal};
use partstore::{CompletedPart, Part, PartOptions, Upload};
use std::io::Write;

/// R10b, R28: an upload that ends while a body streams does not get it.
#[test]
fn a_body_that_outlives_its_upload_is_refused_and_leaves_nothing() {
    let fixture = Fixture::new();
    let ends: [fn(&Fixture, &Upload, &Part); 2] = [
        |fixture, upload, _| fixture.store.abort_upload(upload).unwrap(),
        |fixture, upload, part| {
            let list = [CompletedPart::from(part)];
            fixture.store.complete_upload(upload, &list).unwrap();
        },
    ];
    for end in ends {
        let upload = fixture.initiate("key");
        let part = fixture.put(&upload, 1, b"before");
        let mut writers = [1, 2].map(|at| {
            let options = PartOptions::new();
            fixture
                .store
                .part_writer(&upload, number(at), options)
                .unwrap()
        });
        for writer in &mut writers {
            writer.write_all(&bytes(9, 300_000)).unwrap();
        }
        assert_eq!(files(&fixture.root().join("staging")).len(), 2);
        end(&fixture, &upload, &part);
        for writer in writers {
            assert_eq!(refusal(writer.finish()), ("NoSuchUpload", 404));
        }
        fixture.assert_tidy();
    }
    let left = fixture.blob_files();
    assert_eq!(left.len(), 1, "only the object's part: {left:?}");
}
