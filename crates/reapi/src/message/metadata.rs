//! `ExecutedActionMetadata`: when what happened, and what it took.
//!
//! The specification has a place for a server's own words about an execution; ours is
//! [`ResourceUsage`], which clients learn from how expensive a compile is. It is sent as a
//! `google.protobuf.Struct`: there are clients that print the whole metadata as JSON, and cannot
//! print any of it if one message is of a type that they do not know.

use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::time;
use crate::invalid::{In, Invalid};
use crate::wire::{put_bytes, put_element, put_f64, put_message};

const METADATA: In = In("ExecutedActionMetadata");
const ANY: In = In("Any");
const STRUCT: In = In("Struct");

/// What a `Struct` is called where messages of any type may be.
const STRUCT_TYPE: &str = "type.googleapis.com/google.protobuf.Struct";

/// The keys of [`ResourceUsage`] in it. All values are numbers.
const USER: &str = "user_seconds";
const SYSTEM: &str = "system_seconds";
const WALL: &str = "wall_seconds";
const PEAK_MEMORY: &str = "peak_memory_bytes";

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
                    put_bytes(out, 1, STRUCT_TYPE.as_bytes());
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
    if type_url != STRUCT_TYPE {
        return Ok(None);
    }
    let (mut user, mut system, mut wall, mut peak_memory) = (None, None, None, None);
    for field in STRUCT.fields(content) {
        let (1, entry) = field? else { continue };
        let (key, number) = decode_entry(STRUCT.at("fields", entry.bytes())?)?;
        match key {
            USER => user = number,
            SYSTEM => system = number,
            WALL => wall = number,
            PEAK_MEMORY => peak_memory = number,
            _ => {}
        }
    }
    // Another server's words have other keys.
    let seconds = |number: Option<f64>| Duration::try_from_secs_f64(number?).ok();
    let usage = || {
        Some(ResourceUsage {
            user: seconds(user)?,
            system: seconds(system)?,
            wall: seconds(wall)?,
            peak_memory_bytes: whole(peak_memory?)?,
        })
    };
    Ok(usage())
}

/// One entry of a `Struct`: its key, and its value if that is a number.
fn decode_entry(entry: &[u8]) -> Result<(&str, Option<f64>), Invalid> {
    let (mut key, mut number) = ("", None);
    for field in STRUCT.fields(entry) {
        match field? {
            (1, value) => key = STRUCT.at("key", value.text())?,
            (2, value) => {
                for field in STRUCT.fields(STRUCT.at("value", value.bytes())?) {
                    if let (2, value) = field? {
                        number = Some(STRUCT.at("number_value", value.f64())?);
                    }
                }
            }
            _ => {}
        }
    }
    Ok((key, number))
}

/// A number without a fraction, if it is one that can count bytes.
fn whole(number: f64) -> Option<u64> {
    // Up to here each whole number is a different one.
    const MAX: f64 = (1_u64 << f64::MANTISSA_DIGITS) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is in range"
    )]
    (0.0..=MAX).contains(&number).then_some(number as u64)
}

impl ResourceUsage {
    fn put_fields(&self, out: &mut Vec<u8>) {
        #[expect(clippy::cast_precision_loss, reason = "no machine has 2^53 bytes")]
        let peak_memory = self.peak_memory_bytes as f64;
        for (key, number) in [
            (USER, self.user.as_secs_f64()),
            (SYSTEM, self.system.as_secs_f64()),
            (WALL, self.wall.as_secs_f64()),
            (PEAK_MEMORY, peak_memory),
        ] {
            put_message(out, 1, |out| {
                put_bytes(out, 1, key.as_bytes());
                put_message(out, 2, |out| put_f64(out, 2, number));
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use bazel_remote_apis::build::bazel::remote::execution::v2::ExecutedActionMetadata;
    use bazel_remote_apis::google::protobuf::Any;
    use prost::Message;
    use prost_types::{Struct, Value, value::Kind};

    use super::*;

    fn encode(metadata: &ExecutionMetadata) -> ExecutedActionMetadata {
        let mut field = Vec::new();
        metadata.put(&mut field, 9);
        let (_, value) = METADATA.fields(&field).next().unwrap().unwrap();
        ExecutedActionMetadata::decode(value.bytes().unwrap()).unwrap()
    }

    #[test]
    fn usage_is_of_a_type_that_every_client_knows() {
        let usage = ResourceUsage {
            user: Duration::from_millis(1_500),
            system: Duration::ZERO,
            wall: Duration::from_millis(2_250),
            peak_memory_bytes: 123_456_789,
        };
        let metadata = ExecutionMetadata {
            usage: Some(usage),
            ..ExecutionMetadata::default()
        };
        let theirs = encode(&metadata);
        let [any] = &theirs.auxiliary_metadata[..] else {
            panic!("{theirs:?}");
        };
        assert_eq!(any.type_url, STRUCT_TYPE);
        let fields = Struct::decode(&*any.value).unwrap().fields;
        let number = |key: &str| fields[key].kind.clone();
        for (key, value) in [
            ("user_seconds", 1.5),
            ("system_seconds", 0.0),
            ("wall_seconds", 2.25),
            ("peak_memory_bytes", 123_456_789.0),
        ] {
            assert_eq!(number(key), Some(Kind::NumberValue(value)));
        }
        let back = ExecutionMetadata::decode(&theirs.encode_to_vec()).unwrap();
        assert_eq!(back, metadata);
    }

    #[test]
    fn another_servers_words_are_kept_as_they_are() {
        let check = |fields: &[(&str, Kind)]| {
            let fields = fields.iter().map(|(key, kind)| {
                let kind = Some(kind.clone());
                ((*key).to_owned(), Value { kind })
            });
            let value = Struct {
                fields: fields.collect(),
            };
            let any = Any {
                type_url: STRUCT_TYPE.into(),
                value: value.encode_to_vec(),
            };
            let theirs = ExecutedActionMetadata {
                auxiliary_metadata: vec![any],
                ..ExecutedActionMetadata::default()
            };
            let ours = ExecutionMetadata::decode(&theirs.encode_to_vec()).unwrap();
            assert_eq!((ours.usage, ours.auxiliary.len()), (None, 1), "{ours:?}");
            assert_eq!(encode(&ours), theirs);
        };
        check(&[]);
        check(&[("speed", Kind::StringValue("high".into()))]);
        let usage = |user, peak_memory| {
            [
                (USER, Kind::NumberValue(user)),
                (SYSTEM, Kind::NumberValue(1.0)),
                (WALL, Kind::NumberValue(1.0)),
                (PEAK_MEMORY, peak_memory),
            ]
        };
        check(&usage(-1.0, Kind::NumberValue(1.0)));
        check(&usage(f64::NAN, Kind::NumberValue(1.0)));
        check(&usage(f64::INFINITY, Kind::NumberValue(1.0)));
        check(&usage(1.0, Kind::NumberValue(-1.0)));
        check(&usage(1.0, Kind::NumberValue(1e30)));
        check(&usage(1.0, Kind::StringValue("1".into())));
    }
}
