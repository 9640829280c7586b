//! `google.protobuf.Timestamp` and `Duration`, as the standard library's types.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::invalid::{In, Invalid, Problem};
use crate::wire::{put_message, put_signed};

const TIMESTAMP: In = In("Timestamp");
const DURATION: In = In("Duration");

const NANOS_PER_SECOND: i32 = 1_000_000_000;

/// Both messages have the same two fields.
fn parts(message: In, bytes: &[u8]) -> Result<(i64, i32), Invalid> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in message.fields(bytes) {
        match field? {
            (1, value) => seconds = message.at("seconds", value.i64())?,
            (2, value) => nanos = message.at("nanos", value.i32())?,
            _ => {}
        }
    }
    Ok((seconds, nanos))
}

/// Reads a point in time.
pub(crate) fn decode_timestamp(bytes: &[u8]) -> Result<SystemTime, Invalid> {
    let (seconds, nanos) = parts(TIMESTAMP, bytes)?;
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    let nanos = u64::try_from(nanos).ok();
    let nanos = nanos.filter(|nanos| *nanos < NANOS_PER_SECOND.unsigned_abs().into());
    let time = time
        .zip(nanos)
        .and_then(|(time, nanos)| time.checked_add(Duration::from_nanos(nanos)));
    TIMESTAMP.at("", time.ok_or(Problem::Time))
}

/// Reads a span of time, which may not be negative.
pub(crate) fn decode_duration(bytes: &[u8]) -> Result<Duration, Invalid> {
    let (seconds, nanos) = parts(DURATION, bytes)?;
    let seconds = u64::try_from(seconds).ok();
    let nanos = u32::try_from(nanos).ok();
    let nanos = nanos.filter(|nanos| *nanos < NANOS_PER_SECOND.unsigned_abs());
    let duration = seconds
        .zip(nanos)
        .map(|(seconds, nanos)| Duration::new(seconds, nanos));
    DURATION.at("", duration.ok_or(Problem::Time))
}

/// Appends a point in time, if there is one.
pub(crate) fn put_timestamp(out: &mut Vec<u8>, number: u32, time: Option<SystemTime>) {
    let Some(time) = time else { return };
    // Before 1970 the seconds are negative, and the nanoseconds still count forwards.
    let (seconds, nanos) = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (signed(after.as_secs()), after.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let nanos = before.subsec_nanos();
            if nanos == 0 {
                (-signed(before.as_secs()), 0)
            } else {
                let rest = NANOS_PER_SECOND.unsigned_abs() - nanos;
                (-signed(before.as_secs()) - 1, rest)
            }
        }
    };
    put_parts(out, number, seconds, nanos);
}

/// Appends a span of time, if there is one.
pub(crate) fn put_duration(out: &mut Vec<u8>, number: u32, duration: Option<Duration>) {
    if let Some(duration) = duration {
        put_parts(
            out,
            number,
            signed(duration.as_secs()),
            duration.subsec_nanos(),
        );
    }
}

fn put_parts(out: &mut Vec<u8>, number: u32, seconds: i64, nanos: u32) {
    put_message(out, number, |out| {
        put_signed(out, 1, seconds);
        put_signed(out, 2, nanos.into());
    });
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there_and_back(time: SystemTime) {
        let mut field = Vec::new();
        put_timestamp(&mut field, 1, Some(time));
        assert_eq!(decode_timestamp(&field[2..]).unwrap(), time, "{time:?}");
    }

    #[test]
    fn times_survive_also_before_1970() {
        there_and_back(UNIX_EPOCH);
        there_and_back(UNIX_EPOCH + Duration::new(1_700_000_000, 999_999_999));
        there_and_back(UNIX_EPOCH - Duration::new(5, 0));
        there_and_back(UNIX_EPOCH - Duration::new(5, 1));
    }

    #[test]
    fn nonsense_is_no_time() {
        let message = |seconds: i64, nanos: i64| {
            let mut out = Vec::new();
            put_signed(&mut out, 1, seconds);
            put_signed(&mut out, 2, nanos);
            out
        };
        for (seconds, nanos) in [(0, -1), (0, 1_000_000_000), (i64::MAX, 999_999_999)] {
            assert_eq!(
                decode_timestamp(&message(seconds, nanos)).is_ok(),
                seconds == i64::MAX,
                "{seconds} {nanos}"
            );
        }
        assert!(decode_duration(&message(-1, 0)).is_err());
        assert!(decode_duration(&message(1, -1)).is_err());
        assert!(decode_timestamp(&message(i64::MIN, 0)).is_ok());
    }
}
