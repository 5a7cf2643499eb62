//! What salvage asks the blob store.

use crate::local::blob::BlobFiles;
use crate::local::file::Dir;
use crate::local::meta::salvage::Blobs;
use crate::values::digest::ProvenBlob;
use crate::{ContentHash, Result};

impl Blobs for BlobFiles {
    fn has(&self, content: &ContentHash, len: u64) -> Result<bool> {
        self.has_file(content, len)
    }

    fn prove(&self, content: &ContentHash) -> Result<Option<ProvenBlob>> {
        self.prove_file(content)
    }

    fn put_aside(
        &self,
        kept: &mut dyn FnMut(&ContentHash) -> Result<bool>,
        aside: &Dir,
    ) -> Result<()> {
        self.check_writable()?;
        let mut prefixes = self.prefixes()?;
        prefixes.sort_unstable();
        for prefix in prefixes {
            let mut moved = false;
            let mut files = self.files(prefix)?.files;
            files.sort_unstable();
            for content in files {
                if !kept(&content)? {
                    self.move_file(&content, aside)?;
                    moved = true;
                }
            }
            if moved {
                aside.sync()?;
                self.sync_dir(prefix)?;
            }
        }
        Ok(())
    }
}
