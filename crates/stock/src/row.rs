//! The lines of `distccmon-text`, byte for byte.
//!
//! Scripts read them, so widths, cuts and order are stock's. Widths count
//! bytes, as C's printf does.

use std::cmp::Ordering;

use crate::state::State;

const FILE_BYTES: usize = 30;
const HOST_BYTES: usize = 24;

/// One job's line, newline included:
///
/// ```text
///  24575  Compile     b.c                                           127.0.0.1[0]
/// ```
pub fn row(state: &State) -> Vec<u8> {
    let mut line = format!("{:6}  {:10}  ", state.pid, state.phase).into_bytes();
    let file = cut(&state.file, FILE_BYTES);
    line.extend_from_slice(file);
    pad(&mut line, FILE_BYTES - file.len() + 1);
    let host = cut(&state.host, HOST_BYTES);
    pad(&mut line, HOST_BYTES - host.len());
    line.extend_from_slice(host);
    line.extend_from_slice(format!("[{}]\n", state.slot).as_bytes());
    line
}

/// The order of lines: by host, then by slot.
pub fn order(a: &State, b: &State) -> Ordering {
    a.host.cmp(&b.host).then(a.slot.cmp(&b.slot))
}

fn cut(text: &[u8], max: usize) -> &[u8] {
    &text[..text.len().min(max)]
}

fn pad(line: &mut Vec<u8>, spaces: usize) {
    line.resize(line.len() + spaces, b' ');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::Phase;

    fn state(pid: u64, phase: Phase, file: &str, host: &str, slot: i32) -> State {
        State {
            pid,
            file: file.into(),
            host: host.into(),
            slot,
            phase,
        }
    }

    fn check(state: &State, line: &str) {
        assert_eq!(String::from_utf8(row(state)).unwrap(), line);
    }

    #[test]
    fn a_row_is_stocks_row() {
        check(
            &state(24575, Phase::Compile, "b.c", "127.0.0.1", 0),
            " 24575  Compile     b.c                                           127.0.0.1[0]\n",
        );
    }

    #[test]
    fn long_fields_are_cut_or_push_the_line_out_as_printf_does() {
        let long = "x".repeat(40);
        let line = format!(
            "12345678  Preprocess  {} {}[12]\n",
            "x".repeat(30),
            "x".repeat(24)
        );
        check(
            &state(12_345_678, Phase::Preprocess, &long, &long, 12),
            &line,
        );
    }

    #[test]
    fn rows_go_by_host_then_slot() {
        let mut rows = [("b", 0), ("a", 11), ("a", 2)]
            .map(|(host, slot)| state(1, Phase::Send, "f", host, slot));
        rows.sort_by(order);
        let order: Vec<_> = rows.iter().map(|s| (s.host.as_slice(), s.slot)).collect();
        assert_eq!(order, [(b"a".as_slice(), 2), (b"a", 11), (b"b", 0)]);
    }
}
