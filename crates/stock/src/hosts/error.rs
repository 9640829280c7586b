//! What can be wrong with a token of the host list, in words that help.

use std::fmt;

/// A token that was left out of the list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct HostError {
    /// The token as it is written, without a comment glued to it.
    pub token: String,
    /// Where it starts: bytes from the start of the list.
    pub offset: usize,
    /// Where it starts: line, counted from 1.
    pub line: usize,
    /// Where it starts: character of the line, counted from 1.
    pub column: usize,
    /// What it breaks.
    pub rule: Rule,
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostError {
            token,
            line,
            column,
            rule,
            ..
        } = self;
        write!(
            f,
            "host list, line {line}, column {column}: `{token}`: {rule}"
        )?;
        let hint = rule.hint();
        if hint.is_empty() {
            Ok(())
        } else {
            write!(f, " ({hint})")
        }
    }
}

/// A rule of the host list that a token can break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// Nothing where the host's name should be.
    #[error("the host's name is missing")]
    NameMissing,
    /// A character that no host's name has.
    #[error("{0:?} cannot be part of a host's name")]
    NameCharacter(char),
    /// `[` without `]`.
    #[error("`[` is not closed")]
    BracketOpen,
    /// Something else than an IPv6 address in brackets.
    #[error("`{0}` is not an IPv6 address")]
    NotIpv6(String),
    /// Two colons where one port may be.
    #[error("an IPv6 address needs brackets")]
    Ipv6WithoutBrackets,
    /// `/N` or `--localslots=N` with something else than a number from 1.
    #[error("bad multiplier `{0}`: the number of jobs must be a number from 1 to {max}", max = super::parse::SLOTS_MAX)]
    BadLimit(String),
    /// Two `/N`.
    #[error("the number of jobs is given twice")]
    LimitTwice,
    /// `:PORT` with something else than a port.
    #[error("bad port `{0}`: it must be a number from 1 to 65535")]
    BadPort(String),
    /// Two `:PORT`.
    #[error("the port is given twice")]
    PortTwice,
    /// Characters where only options can follow.
    #[error("`{0}` is not understood here")]
    Trailing(String),
    /// A `,word` that is no option of a host.
    #[error("unrecognized option `,{0}`")]
    UnknownOption(String),
    /// A `--word` or `+word` that is no option of the list.
    #[error("unrecognized option of the list")]
    UnknownListOption,
    /// `,cpp` without `,lzo`.
    #[error("pump mode (`,cpp`) requires compression (`,lzo`)")]
    CppWithoutLzo,
    /// Nothing between `@` and `:`, or an ssh user that looks like an option.
    #[error("bad ssh user `{0}`")]
    BadUser(String),
    /// `:` of an ssh host with nothing after it.
    #[error("the ssh command is missing after `:`")]
    CommandMissing,
    /// `,stock` and `,native` for one host, or one of them twice.
    #[error("`,stock` and `,native` exclude each other")]
    StockAndNative,
    /// `,native` for a host behind ssh.
    #[error("hosts behind ssh only speak distcc's protocol, `,native` cannot be used")]
    NativeOverSsh,
    /// A word that is kept for later versions.
    #[error("`{0}` is not supported yet")]
    NotYet(&'static str),
}

impl Rule {
    /// What to do about it; may be empty.
    pub fn hint(&self) -> &'static str {
        match self {
            Rule::NameMissing => "write NAME[/JOBS][:PORT][,lzo], or USER@NAME for ssh",
            Rule::NameCharacter(_) | Rule::Trailing(_) => "write NAME[/JOBS][:PORT][,OPTIONS]",
            Rule::BracketOpen | Rule::NotIpv6(_) | Rule::Ipv6WithoutBrackets => {
                "write [2001:db8::1]/8:3632"
            }
            Rule::BadLimit(_) => {
                "write NAME/8 for 8 jobs at once; `,down` after a host disables it"
            }
            Rule::BadPort(_) => "write NAME:3632, or only NAME",
            Rule::UnknownOption(_) => "options of a host are ,lzo ,cpp ,down and ,auth",
            Rule::UnknownListOption => {
                "options of the list are --randomize, --localslots=N, --localslots_cpp=N and +zeroconf"
            }
            Rule::CppWithoutLzo => "write NAME,lzo,cpp",
            Rule::BadUser(_) => "write USER@NAME, or @NAME for your own user",
            Rule::CommandMissing => "write USER@NAME:/usr/bin/distccd, or leave `:` out",
            Rule::LimitTwice
            | Rule::PortTwice
            | Rule::StockAndNative
            | Rule::NativeOverSsh
            | Rule::NotYet(_) => "",
        }
    }
}
