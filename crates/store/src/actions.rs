//! The action cache: what each action's result was, in bytes that mean nothing here.
//!
//! Results are small and read often, so each is checked whenever it is read. Whether the blobs
//! that a result names are still there is the caller's question.

use std::io::Read;
use std::sync::Arc;

use crate::layout::{Form, Key, Name};
use crate::limits::RETRIES_MAX;
use crate::shared::Shared;
use crate::temp::Temp;
use crate::writer::check_fits;
use crate::{ACTION_BYTES_MAX, Digest, StoreError, record};

impl Shared {
    pub(crate) fn action(&self, action: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let key = Key::action(action);
        for _ in 0..RETRIES_MAX {
            let entry = self.touch(&key);
            let Some(name) = entry.and_then(|entry| entry.names(&key).next()) else {
                return Ok(None);
            };
            if let Some(file) = self.open_file(&name)? {
                let mut bytes = Vec::new();
                let read = file
                    .take((record::HEADER_BYTES + ACTION_BYTES_MAX) as u64)
                    .read_to_end(&mut bytes);
                if read.is_ok()
                    && let Some((found, result)) = record::decode(&bytes)
                    && found == *action
                {
                    return Ok(Some(result.to_vec()));
                }
            }
            self.drop_bad(&name);
        }
        Ok(None)
    }

    pub(crate) fn put_action(
        self: &Arc<Self>,
        action: &Digest,
        result: &[u8],
    ) -> Result<(), StoreError> {
        if result.len() > ACTION_BYTES_MAX {
            return Err(StoreError::ActionTooBig {
                bytes: result.len() as u64,
                bytes_max: ACTION_BYTES_MAX as u64,
            });
        }
        let bytes = record::encode(action, result);
        let file_bytes = u32::try_from(bytes.len()).expect("the limit is below 2^32");
        let form = Form::Record(file_bytes);
        check_fits(self, file_bytes.into())?;
        let mut temp = Temp::create(self, form.mode())?;
        temp.write(&bytes, file_bytes.into())?;
        let name = Name {
            digest: *action,
            number: temp.number(),
            form,
        };
        let stamp = temp.keep(&name)?;
        let replaced = self.state().index.insert(&name, Some(stamp));
        self.delete(&replaced);
        Ok(())
    }
}
