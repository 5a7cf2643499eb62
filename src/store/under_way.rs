//! [`UnderWay`]: the uploads of which a part is being received or stored. They do not expire meanwhile (R33).

use std::collections::HashMap;
use std::sync::Arc;

use crate::UploadId;
use crate::sync::Mutex;

/// How many bodies each upload has.
#[derive(Default)]
pub(crate) struct UnderWay(Mutex<HashMap<UploadId, usize>>);

/// One body, until this is dropped.
pub(super) struct Body {
    all: Arc<UnderWay>,
    id: UploadId,
}

impl UnderWay {
    /// Notes a body. It comes before the upload is looked for, so an upload that expires in between is not found.
    pub(super) fn begin(self: &Arc<Self>, id: UploadId) -> Body {
        *self.0.lock().entry(id).or_default() += 1;
        Body {
            all: Arc::clone(self),
            id,
        }
    }

    pub(super) fn has(&self, id: UploadId) -> bool {
        self.0.lock().contains_key(&id)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        let mut bodies = self.all.0.lock();
        if let Some(count) = bodies.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                bodies.remove(&self.id);
            }
        }
    }
}
