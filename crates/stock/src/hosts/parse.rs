//! The grammar of the host list (see the module above).

use std::net::Ipv6Addr;

use super::{Auth, DEFAULT_PORT, Host, HostError, HostKind, HostList, Rule, Speaks};

/// Most jobs at once on one host: a bound against slips of the finger, far
/// beyond any machine.
pub(super) const SLOTS_MAX: u32 = 100_000;

/// Words that are kept for later versions: where a host's name starts.
const RESERVED_SCHEMES: [&str; 2] = ["grpc://", "grpcs://"];

pub(super) fn parse(text: &str) -> HostList {
    let mut list = HostList::default();
    for (line, (line_start, line_text)) in lines(text).enumerate() {
        for (at, token) in tokens(line_text) {
            if let Err(rule) = add(&mut list, token) {
                list.errors.push(HostError {
                    token: token.to_owned(),
                    offset: line_start + at,
                    line: line + 1,
                    column: line_text[..at].chars().count() + 1,
                    rule,
                });
            }
        }
    }
    list
}

/// Reads one token as a host.
pub(super) fn host(token: &str) -> Result<Host, Rule> {
    if let Some(scheme) = RESERVED_SCHEMES.into_iter().find(|s| token.starts_with(s)) {
        return Err(Rule::NotYet(scheme));
    }
    if token == "localhost" {
        return Ok(local(token, None));
    }
    if let Some(rest) = token.strip_prefix("localhost/") {
        // Like stock, options are accepted here and mean nothing.
        let (limit, _options) = rest.split_once(',').unwrap_or((rest, ""));
        return Ok(local(token, Some(number(limit)?)));
    }
    // Behind a comma, `@` belongs to an option: `,auth=distcc@REALM`.
    let (place, options) = token.split_at(token.find(',').unwrap_or(token.len()));
    let (kind, limit) = match place.split_once('@') {
        Some((user, place)) => ssh(user, place)?,
        None => tcp(place)?,
    };
    with_options(
        Host {
            kind,
            limit,
            ..local(token, None)
        },
        options,
    )
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split_inclusive('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len();
        Some((at, line))
    })
}

/// The words of a line before a comment, with their places. Like in stock, a
/// carriage return or form feed ends a comment too.
fn tokens(line: &str) -> impl Iterator<Item = (usize, &str)> {
    line.split(['\n', '\r', '\x0c'])
        .filter_map(|part| part.split('#').next())
        .flat_map(|code| code.split([' ', '\t']))
        .filter(|token| !token.is_empty())
        .map(|token| (token.as_ptr() as usize - line.as_ptr() as usize, token))
}

fn add(list: &mut HostList, token: &str) -> Result<(), Rule> {
    match token.split_once(['=', '/']) {
        _ if token == "--randomize" => list.randomize = true,
        _ if token == "+zeroconf" => list.zeroconf = true,
        Some(("--localslots", n)) => list.localslots = Some(number(n)?),
        Some(("--localslots_cpp", n)) => list.localslots_cpp = Some(number(n)?),
        None if matches!(token, "--localslots" | "--localslots_cpp") => {
            return Err(Rule::BadLimit(String::new()));
        }
        _ if token.starts_with(['-', '+']) => return Err(Rule::UnknownListOption),
        _ => list.hosts.push(host(token)?),
    }
    Ok(())
}

fn local(token: &str, limit: Option<u32>) -> Host {
    Host {
        kind: HostKind::Local,
        limit,
        lzo: false,
        cpp: false,
        down: false,
        speaks: Speaks::Either,
        auth: None,
        text: token.to_owned(),
    }
}

fn tcp(place: &str) -> Result<(HostKind, Option<u32>), Rule> {
    let (name, mut rest) = name(place)?;
    let mut limit = None;
    let mut port = None;
    while let Some(mark @ ('/' | '=' | ':')) = rest.chars().next() {
        let end = rest[1..]
            .find(['/', '=', ':'])
            .map_or(rest.len(), |at| at + 1);
        let value = &rest[1..end];
        if mark == ':' {
            set_once(&mut port, port_number(value)?, Rule::PortTwice)?;
        } else {
            set_once(&mut limit, number(value)?, Rule::LimitTwice)?;
        }
        rest = &rest[end..];
    }
    if !rest.is_empty() {
        return Err(Rule::Trailing(rest.to_owned()));
    }
    Ok((
        HostKind::Tcp {
            name,
            port: port.unwrap_or(DEFAULT_PORT),
        },
        limit,
    ))
}

fn ssh(user: &str, place: &str) -> Result<(HostKind, Option<u32>), Rule> {
    // `-x@host` must not become an option of ssh.
    let is_plain = |c: char| !c.is_control() && !matches!(c, '/' | ':' | '[' | ']');
    if user.starts_with('-') || !user.chars().all(is_plain) {
        return Err(Rule::BadUser(user.to_owned()));
    }
    let (name, mut rest) = name(place)?;
    let mut limit = None;
    if let Some(after) = rest.strip_prefix(['/', '=']) {
        let end = after.find(':').unwrap_or(after.len());
        limit = Some(number(&after[..end])?);
        rest = &after[end..];
    }
    let command = match rest.strip_prefix(':') {
        Some("") => return Err(Rule::CommandMissing),
        Some(command) => Some(command.to_owned()),
        None if rest.is_empty() => None,
        None => return Err(Rule::Trailing(rest.to_owned())),
    };
    let user = (!user.is_empty()).then(|| user.to_owned());
    Ok((
        HostKind::Ssh {
            user,
            name,
            command,
        },
        limit,
    ))
}

/// Takes a host's name off the front, without its brackets.
fn name(place: &str) -> Result<(String, &str), Rule> {
    let (name, rest) = match place.strip_prefix('[') {
        Some(inner) => inner.split_once(']').ok_or(Rule::BracketOpen)?,
        None => {
            let before_limit = place.split(['/', '=']).next().unwrap_or_default();
            if before_limit.parse::<Ipv6Addr>().is_ok() {
                return Err(Rule::Ipv6WithoutBrackets);
            }
            place.split_at(place.find(['/', '=', ':']).unwrap_or(place.len()))
        }
    };
    if name.is_empty() {
        return Err(Rule::NameMissing);
    }
    if name.contains(':') {
        let address = name.split('%').next().unwrap_or_default(); // fe80::1%eth0
        if address.parse::<Ipv6Addr>().is_err() {
            return Err(Rule::NotIpv6(name.to_owned()));
        }
    }
    let is_fine = |c: char| {
        c.is_alphanumeric() || (c.is_ascii() && "-._~%:".contains(c)) // `:` in brackets only
    };
    // After `-`, ssh would take the name for an option.
    match name.chars().find(|&c| !is_fine(c)) {
        Some(c) => Err(Rule::NameCharacter(c)),
        None if name.starts_with('-') => Err(Rule::NameCharacter('-')),
        None => Ok((name.to_owned(), rest)),
    }
}

fn number(digits: &str) -> Result<u32, Rule> {
    let bad = || Rule::BadLimit(digits.to_owned());
    plain_number(digits)
        .filter(|n| (1..=SLOTS_MAX).contains(n))
        .ok_or_else(bad)
}

fn port_number(digits: &str) -> Result<u16, Rule> {
    let bad = || Rule::BadPort(digits.to_owned());
    let port = plain_number(digits).ok_or_else(bad)?;
    u16::try_from(port).ok().filter(|&p| p != 0).ok_or_else(bad)
}

/// Digits only: Rust's own parser takes a `+` too.
fn plain_number(digits: &str) -> Option<u32> {
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        digits.parse().ok()
    } else {
        None
    }
}

fn set_once<T>(place: &mut Option<T>, value: T, twice: Rule) -> Result<(), Rule> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice),
    }
}

/// Applies `,word,word`; empty for none.
fn with_options(mut host: Host, options: &str) -> Result<Host, Rule> {
    let mut speaks = None;
    for option in options.split(',').skip(1) {
        match option.split_once('=').unwrap_or((option, "")) {
            ("lzo", "") => host.lzo = true,
            ("cpp", "") => host.cpp = true,
            ("down", "") => host.down = true,
            ("auth", "") => host.auth = Some(Auth { principal: None }),
            ("auth", name) => {
                host.auth = Some(Auth {
                    principal: Some(name.to_owned()),
                })
            }
            ("stock", "") => set_once(&mut speaks, Speaks::Stock, Rule::StockAndNative)?,
            ("native", "") if matches!(host.kind, HostKind::Ssh { .. }) => {
                return Err(Rule::NativeOverSsh);
            }
            ("native", "") => set_once(&mut speaks, Speaks::Native, Rule::StockAndNative)?,
            _ => return Err(Rule::UnknownOption(option.to_owned())),
        }
    }
    if host.cpp && !host.lzo {
        return Err(Rule::CppWithoutLzo);
    }
    host.speaks = speaks.unwrap_or(match host.kind {
        HostKind::Ssh { .. } => Speaks::Stock,
        _ => Speaks::Either,
    });
    Ok(host)
}
