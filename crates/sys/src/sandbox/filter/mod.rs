//! The filter of system calls under which jobs run (seccomp).
//!
//! A filter is a small program that the kernel runs before system calls; what the verdicts are, is
//! in `table`. It is assembled once and loaded by each job's first process, which costs more the
//! longer the program runs: on loading, the kernel runs it for every call there is, to know which
//! are always allowed. So numbers are found by halving, not one after the other: loading takes a
//! tenth of the time of the filters that libraries for this purpose make, which was 0.4 ms.
//!
//! Programs for other architectures, which this kernel could run as well, are killed: for them the
//! numbers mean something else.

mod table;

use std::io;

use table::{Arguments, NUMBERS_END, Row, TABLE, UNCOUNTED, Verdict};

/// A filter ready to be loaded.
#[derive(Debug)]
pub(super) struct Filter(Vec<libc::sock_filter>);

/// How the kernel names this architecture for filters (`AUDIT_ARCH_…` of linux/audit.h); `None`
/// where the table has not been looked through for it.
const ARCHITECTURE: Option<u32> = if cfg!(target_arch = "x86_64") {
    Some(0xc000_003e)
} else if cfg!(target_arch = "aarch64") {
    Some(0xc000_00b7)
} else if cfg!(target_arch = "riscv64") {
    Some(0xc000_00f3)
} else {
    None
};

/// Where a program finds what it decides on (`struct seccomp_data`).
const NUMBER_OFFSET: u32 = 0;
const ARCHITECTURE_OFFSET: u32 = 4;

/// The half of an argument that the calls in the table look at.
const fn argument_offset(index: u32) -> u32 {
    16 + 8 * index
}

const _: () = assert!(
    cfg!(target_endian = "little"),
    "arguments lie the other way round"
);

/// `RLIMIT_CORE` of getrlimit(2), whose type is not the same in all C libraries.
const CORE_LIMIT: u32 = 4;

/// The largest distance of a jump with a condition.
const JUMP_MAX: usize = u8::MAX as usize;

impl Filter {
    /// Assembles the filter; `None` if there is none for this architecture or kernel.
    /// `counts_all`: all memory of jobs counts against their limit, whatever it is made with.
    pub(super) fn new(counts_all: bool) -> Option<Filter> {
        let architecture = ARCHITECTURE.filter(|_| can_filter())?;
        let uncounted = if counts_all { &[] } else { UNCOUNTED };
        let rows: Vec<Row> = TABLE.iter().chain(uncounted).copied().collect();
        Some(Filter(assemble(architecture, &rows)))
    }

    /// Puts this process and all that come from it under the filter. It must have given up getting
    /// new privileges.
    pub(super) fn load(&self) -> io::Result<()> {
        let program = libc::sock_fprog {
            len: libc::c_ushort::try_from(self.0.len()).map_err(io::Error::other)?,
            filter: self.0.as_ptr().cast_mut(),
        };
        // JUSTIFICATION: rustix does not load filters.
        // SAFETY: the program is valid for the call, and the kernel only reads it.
        let result = unsafe {
            let mode = libc::SECCOMP_SET_MODE_FILTER;
            libc::syscall(libc::SYS_seccomp, mode, 0, &raw const program)
        };
        if result == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }
}

/// Does this kernel have filters, and all that is needed of them?
fn can_filter() -> bool {
    let action = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel reads one number, which is valid for the call.
    let result = unsafe {
        let question = libc::SECCOMP_GET_ACTION_AVAIL;
        libc::syscall(libc::SYS_seccomp, question, 0, &raw const action)
    };
    result == 0
}

fn assemble(architecture: u32, rows: &[Row]) -> Vec<libc::sock_filter> {
    let mut rows: Vec<(u32, Verdict)> = rows
        .iter()
        .filter_map(|(_, number, verdict)| Some((u32::try_from(*number).ok()?, *verdict)))
        .collect();
    rows.sort_by_key(|(number, _)| *number);
    // From which number on which verdict holds.
    let mut ranges = vec![(0, Verdict::Allow)];
    for (number, verdict) in rows {
        push(&mut ranges, number, verdict);
        push(&mut ranges, number + 1, Verdict::Allow);
    }
    push(&mut ranges, NUMBERS_END, Verdict::Refuse(libc::ENOSYS));
    let mut program = vec![
        load(ARCHITECTURE_OFFSET),
        jump(libc::BPF_JEQ, architecture, 1, 0),
        ret(libc::SECCOMP_RET_KILL_PROCESS),
        load(NUMBER_OFFSET),
    ];
    program.extend(decide(&ranges));
    program
}

/// Adds a range, in the order of numbers.
fn push(ranges: &mut Vec<(u32, Verdict)>, start: u32, verdict: Verdict) {
    if ranges.last().is_some_and(|(last, _)| *last == start) {
        ranges.pop();
    }
    if ranges.last().is_none_or(|(_, last)| *last != verdict) {
        ranges.push((start, verdict));
    }
}

/// A program that finds the range of the loaded number and comes to its verdict.
fn decide(ranges: &[(u32, Verdict)]) -> Vec<libc::sock_filter> {
    let (below, from) = ranges.split_at(ranges.len() / 2);
    if below.is_empty() {
        return from
            .first()
            .map(|(_, verdict)| judge(*verdict))
            .unwrap_or_default();
    }
    let (start, below, from) = (from[0].0, decide(below), decide(from));
    let mut program = Vec::with_capacity(below.len() + from.len() + 2);
    match u8::try_from(below.len()) {
        Ok(distance) => program.push(jump(libc::BPF_JGE, start, distance, 0)),
        Err(_) => {
            program.push(jump(libc::BPF_JGE, start, 0, 1));
            program.push(jump_far(below.len()));
        }
    }
    program.extend(below);
    program.extend(from);
    program
}

/// A program that comes to this verdict.
fn judge(verdict: Verdict) -> Vec<libc::sock_filter> {
    let allow = ret(libc::SECCOMP_RET_ALLOW);
    match verdict {
        Verdict::Allow => vec![allow],
        Verdict::Refuse(error) => vec![refuse(error)],
        Verdict::Look(Arguments::NoFlags(flags)) => vec![
            load(argument_offset(0)),
            jump(libc::BPF_JSET, flags, 0, 1),
            refuse(libc::EPERM),
            allow,
        ],
        Verdict::Look(Arguments::NotSecond(values)) => {
            let mut program = vec![load(argument_offset(1))];
            program.extend(among(values, refuse(libc::EPERM)));
            program.push(allow);
            program
        }
        Verdict::Look(Arguments::NotCoreLimit(resource, limit)) => {
            let mut program = vec![
                load(argument_offset(resource)),
                jump(libc::BPF_JEQ, CORE_LIMIT, 1, 0),
                allow,
            ];
            if let Some(limit) = limit {
                program.extend([
                    load(argument_offset(limit)),
                    jump(libc::BPF_JEQ, 0, 0, 3),
                    load(argument_offset(limit) + 4),
                    jump(libc::BPF_JEQ, 0, 0, 1),
                    allow,
                ]);
            }
            program.push(refuse(0));
            program
        }
        Verdict::Look(Arguments::FirstAndThird(first, third)) => {
            let mut inner = vec![load(argument_offset(2))];
            inner.extend(among(third, allow));
            inner.push(refuse(libc::EPERM));
            let mut program = vec![load(argument_offset(0))];
            // To the inner program, past the refusal that comes first.
            program.extend(first.iter().enumerate().map(|(index, value)| {
                jump(libc::BPF_JEQ, *value, distance(first.len() - index), 0)
            }));
            program.push(refuse(libc::EPERM));
            program.extend(inner);
            program
        }
    }
}

/// Ends with `end` if the loaded value is among these, and goes on otherwise.
fn among(values: &[u32], end: libc::sock_filter) -> Vec<libc::sock_filter> {
    let count = values.len();
    let tests = values.iter().enumerate().map(|(index, value)| {
        let is_last = index + 1 == count;
        let to_end = distance(count - 1 - index);
        jump(libc::BPF_JEQ, *value, to_end, u8::from(is_last))
    });
    tests.chain([end]).collect()
}

const fn distance(count: usize) -> u8 {
    assert!(count <= JUMP_MAX, "the lists are short");
    #[expect(clippy::cast_possible_truncation, reason = "just looked at")]
    let distance = count as u8;
    distance
}

fn load(offset: u32) -> libc::sock_filter {
    instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, offset)
}

fn jump(condition: u32, value: u32, if_so: u8, if_not: u8) -> libc::sock_filter {
    instruction(
        libc::BPF_JMP | condition | libc::BPF_K,
        if_so,
        if_not,
        value,
    )
}

fn jump_far(count: usize) -> libc::sock_filter {
    let distance = u32::try_from(count).unwrap_or(u32::MAX);
    instruction(libc::BPF_JMP | libc::BPF_JA, 0, 0, distance)
}

fn refuse(error: i32) -> libc::sock_filter {
    ret(libc::SECCOMP_RET_ERRNO | error.cast_unsigned() & libc::SECCOMP_RET_DATA)
}

fn ret(value: u32) -> libc::sock_filter {
    instruction(libc::BPF_RET | libc::BPF_K, 0, 0, value)
}

fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    let code = u16::try_from(code).expect("codes have 16 bits");
    libc::sock_filter { code, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a program as the kernel would, on one call.
    fn run(program: &[libc::sock_filter], architecture: u32, number: u32, args: [u64; 3]) -> u32 {
        let (mut at, mut value) = (0, 0);
        // Every jump leads forward.
        for _ in 0..program.len() {
            let instruction = &program[at];
            let code = u32::from(instruction.code);
            let (jt, jf) = (usize::from(instruction.jt), usize::from(instruction.jf));
            at += 1;
            let k = instruction.k;
            let mut test = |holds| at += if holds { jt } else { jf };
            match code & !libc::BPF_K {
                c if c == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    value = match k {
                        0 => number,
                        4 => architecture,
                        16.. => {
                            let arg = args[(k as usize - 16) / 8].to_le_bytes();
                            let half = &arg[(k as usize - 16) % 8..][..4];
                            u32::from_le_bytes(half.try_into().unwrap())
                        }
                        other => panic!("{other}"),
                    }
                }
                c if c == libc::BPF_JMP | libc::BPF_JA => at += k as usize,
                c if c == libc::BPF_JMP | libc::BPF_JEQ => test(value == k),
                c if c == libc::BPF_JMP | libc::BPF_JGE => test(value >= k),
                c if c == libc::BPF_JMP | libc::BPF_JSET => test(value & k != 0),
                c if c == libc::BPF_RET => return k,
                other => panic!("{other:#x}"),
            }
        }
        panic!("no verdict");
    }

    const ARCHITECTURE: u32 = 0xc000_003e;
    const ALLOWED: u32 = libc::SECCOMP_RET_ALLOW;

    fn refused(error: i32) -> u32 {
        libc::SECCOMP_RET_ERRNO | error.cast_unsigned()
    }

    #[test]
    fn tables_are_sorted() {
        for table in [TABLE, UNCOUNTED] {
            assert!(table.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn every_number_gets_its_verdict() {
        let program = assemble(ARCHITECTURE, TABLE);
        for number in
            (0..NUMBERS_END).chain([NUMBERS_END, 1000, 0x4000_0000, 0x4000_0065, u32::MAX])
        {
            let row = TABLE.iter().find(|row| row.1 == i64::from(number));
            let expected = match row.map(|row| row.2) {
                _ if number >= NUMBERS_END => refused(libc::ENOSYS),
                Some(Verdict::Refuse(error)) => refused(error),
                Some(Verdict::Look(_)) => continue,
                None | Some(Verdict::Allow) => ALLOWED,
            };
            assert_eq!(
                run(&program, ARCHITECTURE, number, [0; 3]),
                expected,
                "{number}"
            );
            let other = run(&program, 0x4000_0003, number, [0; 3]);
            assert_eq!(other, libc::SECCOMP_RET_KILL_PROCESS);
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let program = assemble(ARCHITECTURE, TABLE);
        let run =
            |number: i64, args| run(&program, ARCHITECTURE, u32::try_from(number).unwrap(), args);
        let no = refused(libc::EPERM);
        let thread = libc::CLONE_VM | libc::CLONE_THREAD | libc::CLONE_FILES;
        let thread = u64::from(thread.cast_unsigned());
        let user = u64::from(libc::CLONE_NEWUSER.cast_unsigned());
        assert_eq!(run(libc::SYS_clone, [thread, 0, 0]), ALLOWED);
        // A signal's number.
        assert_eq!(run(libc::SYS_clone, [0x80, 0, 0]), ALLOWED);
        assert_eq!(run(libc::SYS_clone, [thread | user, 0, 0]), no);
        assert_eq!(
            run(
                libc::SYS_unshare,
                [u64::from(libc::CLONE_FS.cast_unsigned()), 0, 0]
            ),
            ALLOWED
        );
        assert_eq!(run(libc::SYS_unshare, [0x80, 0, 0]), no);
        let terminal = [0x5412, 0x541c];
        for request in 0x5400..0x5500 {
            let expected = if terminal.contains(&request) {
                no
            } else {
                ALLOWED
            };
            assert_eq!(
                run(libc::SYS_ioctl, [0, request, 0]),
                expected,
                "{request:#x}"
            );
        }
        assert_eq!(run(libc::SYS_fcntl, [3, 1, 0]), ALLOWED);
        assert_eq!(run(libc::SYS_fcntl, [3, 1024, 0]), no);
        for pointer in [1, 1 << 40] {
            assert_eq!(run(libc::SYS_prlimit64, [0, 4, pointer]), refused(0));
            assert_eq!(run(libc::SYS_prlimit64, [0, 3, pointer]), ALLOWED);
        }
        assert_eq!(run(libc::SYS_prlimit64, [0, 4, 0]), ALLOWED);
        for family in 0..50 {
            for protocol in 0..300 {
                let may = [1, 2, 10].contains(&family) && [0, 1, 6, 17].contains(&protocol);
                let expected = if may { ALLOWED } else { no };
                assert_eq!(run(libc::SYS_socket, [family, 1, protocol]), expected);
            }
        }
    }
}
