//! Steps of the commit protocol that the crash suite takes away, one at a time, to see that it
//! notices. (Syncs it takes away by itself, behind the crate's back.)
//!
//! Only the feature `sabotage` makes it possible, and only tests set it.

/// A step that can be taken away for the life of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A blob is in its place before the journal refers to it.
    PublishBeforeCommit,
    /// A call answers after its batch is durable.
    DurableBeforeAnswer,
    /// A blob's row is gone durably before its file goes.
    RowGoneBeforeFile,
    /// An open removes the CLEAN marker before it changes anything.
    MarkerRemoved,
    /// A new store is whole before it gets its FORMAT file.
    StoreBeforeFormat,
    /// A journal segment is durable with its seal before the next one is written.
    SealBeforeNext,
    /// An open zeroes what a torn write left behind the journal's end.
    TailZeroed,
    /// An open writes the journal's last segment again, which may stand in the page cache only.
    TailRewritten,
    /// And the sealed ones that may.
    SealedRewritten,
    /// An open makes the spare segment durable that it finds.
    SpareRewritten,
    /// A frame claims to be durable only what is.
    HonestWatermark,
    /// After an unclean close all files in `blobs/` are looked at.
    OrphansSought,
    /// The blob of a put that was refused after its publication is looked at.
    RefusedSought,
}

#[cfg(feature = "sabotage")]
mod taken {
    use std::sync::OnceLock;

    use super::Step;

    static TAKEN: OnceLock<Step> = OnceLock::new();

    impl Step {
        /// All of them.
        pub const ALL: [Self; 13] = [
            Self::PublishBeforeCommit,
            Self::DurableBeforeAnswer,
            Self::RowGoneBeforeFile,
            Self::MarkerRemoved,
            Self::StoreBeforeFormat,
            Self::SealBeforeNext,
            Self::TailZeroed,
            Self::TailRewritten,
            Self::SealedRewritten,
            Self::SpareRewritten,
            Self::HonestWatermark,
            Self::OrphansSought,
            Self::RefusedSought,
        ];

        /// Takes this step away from all stores of this process, for good. Only the first call counts.
        pub fn take_away(self) {
            let _ = TAKEN.set(self);
        }

        pub(crate) fn is_taken(self) -> bool {
            TAKEN.get() == Some(&self)
        }
    }
}

#[cfg(not(feature = "sabotage"))]
impl Step {
    #[expect(clippy::unused_self, reason = "nothing can be taken away")]
    pub(crate) const fn is_taken(self) -> bool {
        false
    }
}
