//! [`Token`]: what makes a verb happen once, and names an object in the bucket before it exists.

use std::sync::Arc;

use partstore::backend::Location;

use super::Lease;
use crate::database::Failure;

/// The session and the number that a name is made of.
pub(super) fn split(name: &Location) -> Option<([u8; 8], i64)> {
    let (session, seq) = name.0.split_first_chunk::<8>()?;
    Some((*session, i64::from_be_bytes(seq.try_into().ok()?)))
}

/// A token that one verb or one body has. If it is dropped unused, its name is doomed.
pub(crate) struct Token {
    lease: Arc<Lease>,
    seq: i64,
    /// The verb has happened, or somebody else has the token now.
    settled: bool,
    /// A write to its name may still be on its way.
    late: bool,
}

impl Token {
    pub(super) fn new(lease: Arc<Lease>, seq: i64) -> Self {
        Self {
            lease,
            seq,
            settled: false,
            late: false,
        }
    }

    /// The token of a name that was given out before, if the lease is the same.
    pub fn of(lease: &Arc<Lease>, name: &Location) -> Option<Self> {
        let (session, seq) = split(name)?;
        (session == lease.id).then(|| Self::new(Arc::clone(lease), seq))
    }

    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    pub fn session(&self) -> Vec<u8> {
        self.lease.id.to_vec()
    }

    pub fn seq(&self) -> i64 {
        self.seq
    }

    /// The name of the object that may be stored for it.
    pub fn name(&self) -> Location {
        let mut name = self.session();
        name.extend_from_slice(&self.seq.to_be_bytes());
        Location(name)
    }

    /// Says that a write to its name may arrive after it was given up.
    pub fn may_be_late(&mut self) {
        self.late = true;
    }

    /// Takes note of what became of its verb.
    pub fn settle<T>(mut self, answer: Result<T, Failure>) -> Result<T, Failure> {
        match &answer {
            Ok(_) => {
                self.settled = true;
                self.lease.finish(self.seq);
            }
            Err(failure) if failure.is_token_lost() => self.lease.lose(),
            Err(_) => {}
        }
        answer
    }

    /// Its object is stored. Whoever has the name makes the token again.
    pub fn hand_over(&mut self) -> Location {
        self.settled = true;
        self.name()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.settled {
            self.lease.doom(self.seq, self.late);
        }
    }
}
