//! One blob on its way in: the store's writer, and what unpacks for it.

use bytes::Bytes;
use store::{Store, Writer};
use tonic::Status;

use crate::compression::Unpacker;
use crate::resource::{Encoding, Resource};
use crate::server::failure::{self, Unpacking};

/// A blob of which a part has come.
#[derive(Debug)]
pub(super) struct Upload {
    writer: Writer,
    unpacker: Option<Unpacker>,
}

impl Upload {
    pub(super) fn begin(store: &Store, resource: &Resource) -> Result<Upload, Status> {
        let unpacker = match resource.encoding {
            Encoding::Identity => None,
            Encoding::Zstd => Some(Unpacker::new().map_err(failure::compressor)?),
        };
        Ok(Upload {
            writer: store.writer(resource.digest).map_err(failure::store)?,
            unpacker,
        })
    }

    /// Goes on with what a broken call left. Compressed data begins anew at the offset that was
    /// reached: so says the specification.
    pub(super) fn resume(&mut self) -> Result<(), Status> {
        match &mut self.unpacker {
            Some(unpacker) => unpacker.restart().map_err(failure::compressor),
            None => Ok(()),
        }
    }

    /// How many bytes of the blob itself have come.
    pub(super) fn committed_bytes(&self) -> u64 {
        self.writer.received_bytes()
    }

    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &Bytes) -> Result<(), Status> {
        match &mut self.unpacker {
            None => self.writer.write(bytes).map_err(failure::store),
            Some(unpacker) => {
                let writer = &mut self.writer;
                let pushed = unpacker.push(bytes, |piece| Ok(writer.write(piece)?));
                pushed.map_err(|Unpacking(status)| status)
            }
        }
    }

    /// That was all.
    pub(super) fn finish(self) -> Result<(), Status> {
        if let Some(unpacker) = &self.unpacker {
            let finished = unpacker.finish().map_err(Unpacking::from);
            finished.map_err(|Unpacking(status)| status)?;
        }
        self.writer.commit().map_err(failure::store)
    }
}
