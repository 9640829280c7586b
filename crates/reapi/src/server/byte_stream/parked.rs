//! Uploads that broke off, until they are resumed or it is too late for that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::upload::Upload;
use crate::limits::{PARKED_UPLOAD_SECS, PARKED_UPLOADS_MAX};

/// Uploads by the name under which they are written. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(in crate::server) struct Parked {
    uploads: Arc<Mutex<HashMap<String, ParkedUpload>>>,
}

#[derive(Debug)]
struct ParkedUpload {
    upload: Upload,
    since: Instant,
}

impl Parked {
    /// Keeps an upload. If there are too many, the oldest goes.
    pub(super) fn park(&self, name: String, upload: Upload) {
        let since = Instant::now();
        let mut uploads = self.lock();
        if uploads.len() >= PARKED_UPLOADS_MAX {
            let oldest = uploads.iter().min_by_key(|(_, parked)| parked.since);
            if let Some(name) = oldest.map(|(name, _)| name.clone()) {
                uploads.remove(&name);
            }
        }
        uploads.insert(name, ParkedUpload { upload, since });
        drop(uploads);
        self.forget_later();
    }

    /// Takes an upload out, to go on with it.
    pub(super) fn take(&self, name: &str) -> Option<Upload> {
        self.lock().remove(name).map(|parked| parked.upload)
    }

    /// How many bytes have come of an upload.
    pub(super) fn committed_bytes(&self, name: &str) -> Option<u64> {
        let uploads = self.lock();
        let parked = uploads.get(name);
        parked.map(|parked| parked.upload.committed_bytes())
    }

    /// Half a blob takes room in the store, so it must go even if nobody comes any more.
    fn forget_later(&self) {
        let parked = Arc::downgrade(&self.uploads);
        tokio::spawn(async move {
            let age = Duration::from_secs(PARKED_UPLOAD_SECS);
            tokio::time::sleep(age).await;
            if let Some(uploads) = parked.upgrade() {
                let mut uploads = uploads.lock().unwrap_or_else(PoisonError::into_inner);
                uploads.retain(|_, parked| parked.since.elapsed() < age);
            }
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, ParkedUpload>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
