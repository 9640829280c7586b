//! `ExecutedActionMetadata`: when what happened, and what it took.
//!
//! The specification has a place for a server's own words about an execution; ours is
//! [`ResourceUsage`], which clients learn from how expensive a compile is.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::time;
use crate::invalid::{In, Invalid};
use crate::wire::{put_bytes, put_element, put_message, put_number};

const METADATA: In = In("ExecutedActionMetadata");
const ANY: In = In("Any");
const USAGE: In = In("ResourceUsage");

/// What [`ResourceUsage`] is called where messages of any type may be.
const USAGE_TYPE: &str = "type.googleapis.com/farcc.worker.v1.ResourceUsage";

/// What a command used, by the kernel's accounting, all its children included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceUsage {
    /// Processor time in user mode.
    pub user: Duration,
    /// Processor time in the kernel.
    pub system: Duration,
    /// From start to end.
    pub wall: Duration,
    /// The most memory at one time, in bytes.
    pub peak_memory_bytes: u64,
}

/// Where and when an action was executed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExecutionMetadata {
    /// The worker's name.
    pub worker: String,
    /// When the action was queued.
    pub queued: Option<SystemTime>,
    /// When the worker took it.
    pub worker_start: Option<SystemTime>,
    /// When the worker was done with it.
    pub worker_completed: Option<SystemTime>,
    /// When the worker began to put the inputs in place.
    pub input_fetch_start: Option<SystemTime>,
    /// When they were in place.
    pub input_fetch_completed: Option<SystemTime>,
    /// When the command was started.
    pub execution_start: Option<SystemTime>,
    /// When it ended.
    pub execution_completed: Option<SystemTime>,
    /// When the worker began to store the outputs.
    pub output_upload_start: Option<SystemTime>,
    /// When they were stored.
    pub output_upload_completed: Option<SystemTime>,
    /// How long the command ran, by the clock that its timeout is measured with.
    pub virtual_execution: Option<Duration>,
    /// What it used, if a farcc worker tells.
    pub usage: Option<ResourceUsage>,
    /// What other workers tell: encoded messages of any type, handed on as they are.
    pub auxiliary: Vec<Bytes>,
}

impl ExecutionMetadata {
    pub(crate) fn decode(bytes: &[u8]) -> Result<ExecutionMetadata, Invalid> {
        let mut metadata = ExecutionMetadata::default();
        for field in METADATA.fields(bytes) {
            let (number, value) = field?;
            match number {
                1 => metadata.worker = METADATA.at("worker", value.text())?.into(),
                11 => {
                    let any = METADATA.at("auxiliary_metadata", value.bytes())?;
                    match decode_usage(any)? {
                        Some(usage) => metadata.usage = Some(usage),
                        None => metadata.auxiliary.push(Bytes::copy_from_slice(any)),
                    }
                }
                12 => {
                    let bytes = METADATA.at("virtual_execution_duration", value.bytes())?;
                    metadata.virtual_execution = Some(time::decode_duration(bytes)?);
                }
                _ => {
                    let mut times = metadata.times_mut();
                    if let Some((_, time)) = times.iter_mut().find(|(field, _)| *field == number) {
                        let bytes = METADATA.at("timestamps", value.bytes())?;
                        **time = Some(time::decode_timestamp(bytes)?);
                    }
                }
            }
        }
        Ok(metadata)
    }

    /// Appends the message as field `number`, unless it is empty.
    pub(crate) fn put(&self, out: &mut Vec<u8>, number: u32) {
        if *self == ExecutionMetadata::default() {
            return;
        }
        put_message(out, number, |out| {
            put_bytes(out, 1, self.worker.as_bytes());
            let mut times = self.clone();
            for (number, time) in times.times_mut() {
                time::put_timestamp(out, number, *time);
            }
            if let Some(usage) = &self.usage {
                put_message(out, 11, |out| {
                    put_bytes(out, 1, USAGE_TYPE.as_bytes());
                    put_message(out, 2, |out| usage.put_fields(out));
                });
            }
            for any in &self.auxiliary {
                put_element(out, 11, any);
            }
            time::put_duration(out, 12, self.virtual_execution);
        });
    }

    /// Each point in time with its field's number.
    fn times_mut(&mut self) -> [(u32, &mut Option<SystemTime>); 9] {
        [
            (2, &mut self.queued),
            (3, &mut self.worker_start),
            (4, &mut self.worker_completed),
            (5, &mut self.input_fetch_start),
            (6, &mut self.input_fetch_completed),
            (7, &mut self.execution_start),
            (8, &mut self.execution_completed),
            (9, &mut self.output_upload_start),
            (10, &mut self.output_upload_completed),
        ]
    }
}

/// The usage in a message of any type, if that is its type.
fn decode_usage(any: &[u8]) -> Result<Option<ResourceUsage>, Invalid> {
    let (mut type_url, mut content) = ("", &[][..]);
    for field in ANY.fields(any) {
        match field? {
            (1, value) => type_url = ANY.at("type_url", value.text())?,
            (2, value) => content = ANY.at("value", value.bytes())?,
            _ => {}
        }
    }
    if type_url != USAGE_TYPE {
        return Ok(None);
    }
    let mut usage = ResourceUsage::default();
    for field in USAGE.fields(content) {
        let (number, value) = field?;
        match number {
            1 => usage.user = time::decode_duration(USAGE.at("user", value.bytes())?)?,
            2 => usage.system = time::decode_duration(USAGE.at("system", value.bytes())?)?,
            3 => usage.wall = time::decode_duration(USAGE.at("wall", value.bytes())?)?,
            4 => usage.peak_memory_bytes = USAGE.at("peak_memory_bytes", value.varint())?,
            _ => {}
        }
    }
    Ok(Some(usage))
}

impl ResourceUsage {
    fn put_fields(&self, out: &mut Vec<u8>) {
        time::put_duration(out, 1, Some(self.user));
        time::put_duration(out, 2, Some(self.system));
        time::put_duration(out, 3, Some(self.wall));
        put_number(out, 4, self.peak_memory_bytes);
    }
}
