//! Bytes that get out of the store's files, and into them, without passing through this process.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::{BlobFiles, StagedBlob};
use crate::backend::Handed;
use crate::going::Going;
use crate::local::file::Handle;
use crate::{ContentHash, Error, Result};

/// Bytes that the kernel copies at a time, at most.
const STEP: u64 = 64 << 20;

impl BlobFiles {
    /// Has the file system put the bytes of a blob into a file, from `at` on.
    pub(crate) fn hand_over(
        &self,
        content: &ContentHash,
        len: u64,
        (into, at): (BorrowedFd<'_>, u64),
        copies: Option<&Going<'_>>,
    ) -> Result<Handed> {
        self.check_process()?;
        let blob = self.open_file(content)?;
        // Whoever reads it meets the damage.
        if blob.len()? != len {
            return Ok(Handed::Nothing);
        }
        // Whoever reads what the disk refuses to read knows that the blob is damaged.
        let refused = |error: Error| error.is_of_the_medium().then_some(0).ok_or(error);
        if at == 0
            && blob
                .share_bytes_with(into)
                .or_else(|error| refused(error).map(|_| false))?
        {
            return Ok(Handed::Shared);
        }
        let Some(going) = copies else {
            return Ok(Handed::Nothing);
        };
        let mut done = 0;
        while done < len {
            going.check()?;
            let step = STEP.min(len - done);
            match blob
                .copy_bytes_into(done, (into, at + done), step)
                .or_else(refused)?
            {
                0 => return Ok(Handed::Nothing),
                bytes => done += bytes,
            }
        }
        Ok(Handed::Copied)
    }

    /// Gives the file of a blob a second name.
    pub(crate) fn link(
        &self,
        content: &ContentHash,
        len: u64,
        (dir, name): (BorrowedFd<'_>, &OsStr),
    ) -> Result<bool> {
        self.check_process()?;
        let blob = self.open_file(content)?;
        Ok(blob.len()? == len && blob.link_into(dir, name)?)
    }

    /// Begins a body with all bytes of a file, if the file system shares them. Returns also how many these are.
    pub(crate) fn stage_shared(
        self: &Arc<Self>,
        source: BorrowedFd<'_>,
    ) -> Result<Option<(StagedBlob, u64)>> {
        self.check_process()?;
        self.check_writable()?;
        let staged = StagedBlob::create(Arc::clone(self), &self.next_staged(), Handle::create_new)?;
        staged.shared_with(source)
    }
}
