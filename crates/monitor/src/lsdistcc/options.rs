//! The options of `lsdistcc`: one letter each, with the value glued on.

use std::ffi::OsString;
use std::time::Duration;

use stock::Version;
use stock::hosts::DEFAULT_PORT;

/// What `lsdistcc` answers to `--help` and to options that it does not understand.
pub const USAGE: &str = "\
Usage: lsdistcc [OPTIONS] [FORMAT | HOST...]

Prints those servers that answer, one per line, in the form of distcc's host list.
FORMAT is a name with %d in it [distcc%d]; it is tried with 1, 2, 3 and so on until
names stop resolving. A HOST may be any entry of a host list for TCP: NAME:PORT,lzo.

Options (values are glued to the letter):
  -l           also print how long the server took to answer, in milliseconds
  -n           print addresses instead of names
  -x           print servers that do not answer too, with ,down
  -tSECONDS    stop after this time [7]
  -hMS         accepted; the system's resolver decides when to ask again [500]
  -cMS         longest time to connect, 0 = do not connect [900]
  -kMS         longest time to compile, 0 = do not compile [1500]
  -mBITS       bits of the address that must equal the first host's [0]
  -oCOUNT      names to look up ahead [1]
  -gCOUNT      names that may be missing in the row [0]
  -rPORT       port of servers that are given without one [3632]
  -PPROTOCOL   protocol: 1, 2 (,lzo) or 3 (,lzo,cpp) [1]
  -pCOMPILER   have each server compile something with it [none]
  -d           append this machine's domain to FORMAT
  -v           say on standard error what happens

Example: DISTCC_HOSTS=$(lsdistcc -pgcc -P2 box1 box2 box3 | tr '\\n' ' ')
";

/// Names tried when none are given.
const FORMAT_DEFAULT: &str = "distcc%d";

/// The arguments are not those of `lsdistcc`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// `--help`.
    #[error("help was asked for")]
    Help,
    /// No such option.
    #[error("unknown option `{0}`")]
    Unknown(String),
    /// The value of an option is missing or wrong.
    #[error("bad value in `{0}`")]
    Value(String),
}

/// What to look for and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// `-l`.
    pub latency: bool,
    /// `-n`.
    pub numeric: bool,
    /// `-x`.
    pub show_down: bool,
    /// `-v`.
    pub verbose: bool,
    /// `-d`.
    pub append_domain: bool,
    /// `-t`.
    pub deadline: Duration,
    /// `-c`; `None` for 0: names are only resolved.
    pub connect: Option<Duration>,
    /// `-k`; `None` for 0.
    pub compile: Option<Duration>,
    /// `-p`.
    pub compiler: Option<String>,
    /// `-m`.
    pub same_bits: u32,
    /// `-o`.
    pub ahead: usize,
    /// `-g`.
    pub gap: usize,
    /// `-r`.
    pub port: u16,
    /// `-P`.
    pub protocol: Version,
    /// Where to look.
    pub names: Names,
}

/// Which names to look up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Names {
    /// A row of numbered names: what stands before and after the number, and the number's least
    /// width with leading zeros.
    Numbered {
        /// Before the number.
        before: String,
        /// Digits that the number has at least.
        width: usize,
        /// After the number.
        after: String,
    },
    /// These, as entries of a host list.
    Listed(Vec<String>),
}

impl Names {
    /// The name with number `index`, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<String> {
        match self {
            Self::Listed(names) => names.get(index).cloned(),
            Self::Numbered {
                before,
                width,
                after,
            } => {
                let number = index + 1;
                Some(format!("{before}{number:0width$}{after}"))
            }
        }
    }

    fn from_format(format: &str) -> Option<Self> {
        let (before, rest) = format.split_once('%')?;
        let (width, after) = rest.split_once('d')?;
        let width = if width.is_empty() {
            0
        } else {
            width.parse().ok()?
        };
        Some(Self::Numbered {
            before: before.to_owned(),
            width,
            after: after.to_owned(),
        })
    }
}

impl Options {
    /// Reads the arguments after the program's name.
    ///
    /// # Errors
    /// See [`UsageError`].
    pub fn from_args(args: &[OsString]) -> Result<Self, UsageError> {
        let mut options = Self::default();
        let mut names = Vec::new();
        for arg in args {
            let arg = arg.to_str().ok_or_else(|| bad(&arg.to_string_lossy()))?;
            if arg.starts_with('-') {
                options.set(arg)?;
            } else {
                names.push(arg.to_owned());
            }
        }
        if let [format] = names.as_slice()
            && format.contains('%')
        {
            options.names = Names::from_format(format).ok_or_else(|| bad(format))?;
        } else if !names.is_empty() {
            options.names = Names::Listed(names);
        }
        Ok(options)
    }

    fn set(&mut self, arg: &str) -> Result<(), UsageError> {
        if arg == "--help" {
            return Err(UsageError::Help);
        }
        let mut rest = arg[1..].chars();
        let letter = rest.next();
        let value = rest.as_str();
        let is_flag = value.is_empty();
        match letter {
            Some('l') if is_flag => self.latency = true,
            Some('n') if is_flag => self.numeric = true,
            Some('x') if is_flag => self.show_down = true,
            Some('v') if is_flag => self.verbose = true,
            Some('d') if is_flag => self.append_domain = true,
            Some('t') => self.deadline = Duration::from_secs(number(arg, value)?),
            Some('h') => {
                let _accepted: u64 = number(arg, value)?;
            }
            Some('c') => self.connect = unless_zero(number(arg, value)?),
            Some('k') => self.compile = unless_zero(number(arg, value)?),
            Some('m') => self.same_bits = number(arg, value)?,
            Some('o') => self.ahead = number(arg, value)?,
            Some('g') => self.gap = number(arg, value)?,
            Some('r') => self.port = number(arg, value)?,
            Some('P') => {
                self.protocol = Version::from_number(number(arg, value)?)
                    .filter(|version| *version != Version::V0)
                    .ok_or_else(|| bad(arg))?;
            }
            Some('p') if !is_flag => {
                self.compiler = (value != "none").then(|| value.to_owned());
            }
            _ => return Err(UsageError::Unknown(arg.to_owned())),
        }
        Ok(())
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            latency: false,
            numeric: false,
            show_down: false,
            verbose: false,
            append_domain: false,
            deadline: Duration::from_secs(7),
            connect: unless_zero(900),
            compile: unless_zero(1500),
            compiler: None,
            same_bits: 0,
            ahead: 1,
            gap: 0,
            port: DEFAULT_PORT,
            protocol: Version::V1,
            names: Names::from_format(FORMAT_DEFAULT).expect("the default is a format"),
        }
    }
}

fn number<T: std::str::FromStr>(arg: &str, value: &str) -> Result<T, UsageError> {
    value.parse().map_err(|_| bad(arg))
}

fn bad(arg: &str) -> UsageError {
    UsageError::Value(arg.to_owned())
}

fn unless_zero(millis: u64) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, UsageError> {
        let args: Vec<OsString> = args.iter().map(OsString::from).collect();
        Options::from_args(&args)
    }

    #[test]
    fn defaults_are_stocks() {
        let options = parse(&[]).unwrap();
        assert_eq!(options, Options::default());
        assert_eq!(options.names.get(0).unwrap(), "distcc1");
        assert_eq!(options.names.get(499).unwrap(), "distcc500");
    }

    #[test]
    fn values_are_glued_on() {
        let options = parse(&["-l", "-r4200", "-P3", "-c0", "-pclang-14", "a", "b:1"]).unwrap();
        assert!(options.latency);
        assert_eq!((options.port, options.protocol), (4200, Version::V3));
        assert_eq!(
            (options.connect, options.compiler.as_deref()),
            (None, Some("clang-14"))
        );
        assert_eq!(options.names, Names::Listed(vec!["a".into(), "b:1".into()]));
    }

    #[test]
    fn formats_may_pad_the_number() {
        let options = parse(&["pc%03d.lan"]).unwrap();
        assert_eq!(options.names.get(6).unwrap(), "pc007.lan");
        assert!(parse(&["pc%s"]).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let errors = [
            ("--help", "help was asked for"),
            ("-z", "unknown option `-z`"),
            ("-lx", "unknown option `-lx`"),
            ("-r", "bad value in `-r`"),
            ("-r70000", "bad value in `-r70000`"),
            ("-P4", "bad value in `-P4`"),
            ("-P0", "bad value in `-P0`"),
        ];
        for (arg, text) in errors {
            assert_eq!(parse(&[arg]).unwrap_err().to_string(), text);
        }
    }
}
