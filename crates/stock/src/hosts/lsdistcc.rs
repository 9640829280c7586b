//! What `lsdistcc` writes: one usable host per line, as a token of a host list
//! and, with `-l`, the milliseconds it took to answer.

use super::{Host, HostError, parse};

/// A host that `lsdistcc` found.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundHost {
    /// The host.
    pub host: Host,
    /// How long it took to answer, in milliseconds, if the line says so.
    pub latency_ms: Option<f64>,
}

/// Reads the lines that can be read; the others are in the second list.
pub fn parse(text: &str) -> (Vec<FoundHost>, Vec<HostError>) {
    let mut found = Vec::new();
    let mut errors = Vec::new();
    let mut offset = 0;
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let mut words = line.split_ascii_whitespace();
        if let Some(token) = words.next() {
            let latency_ms = words.next().and_then(|word| word.parse().ok());
            let column = line.chars().take_while(char::is_ascii_whitespace).count();
            match parse::host(token) {
                Ok(host) => found.push(FoundHost { host, latency_ms }),
                Err(rule) => errors.push(HostError {
                    token: token.to_owned(),
                    offset: offset + column,
                    line: number + 1,
                    column: column + 1,
                    rule,
                }),
            }
        }
        offset += line.len();
    }
    (found, errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_latency_are_read() {
        let (found, errors) =
            parse("distcc1\ndistcc2:4200,lzo 17\n,lzo\ndistcc3,lzo,cpp,down 3.5\n");
        let found: Vec<_> = found
            .iter()
            .map(|f| (f.host.to_string(), f.latency_ms))
            .collect();
        assert_eq!(
            found,
            [
                ("distcc1".to_owned(), None),
                ("distcc2:4200,lzo".to_owned(), Some(17.0)),
                ("distcc3,lzo,cpp,down".to_owned(), Some(3.5)),
            ]
        );
        assert_eq!(errors.len(), 1);
        assert_eq!(
            (errors[0].line, errors[0].column, errors[0].offset),
            (3, 1, 28)
        );
    }
}
