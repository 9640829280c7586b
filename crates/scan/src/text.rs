//! Walking over source bytes as the first translation phases do: line splices, comments, literals.
//!
//! The bytes are never rewritten (but for trigraphs, which hardly any file has): [`Text`] resolves splices where it
//! looks, and hops over everything between directives at the speed of memory. It does not know what a directive means.

use memchr::{memchr, memchr_iter, memmem, memrchr};

use crate::mode::Mode;
use crate::needles;

/// Source bytes, ending in a newline, with a position.
#[derive(Debug)]
pub(crate) struct Text<'a> {
    src: &'a [u8],
    pos: usize,
    mode: Mode,
    line: u32,
    counted: usize,
    /// Where hopping has to stop, as far as it is known; `None` if lines must be looked at one by one.
    stops: Option<Stops>,
}

/// The next places of some bytes, the end of the text where there are none.
#[derive(Debug)]
struct Stops {
    hash: usize,
    comment: usize,
    raw_string: usize,
    backslash: usize,
    /// These two matter in text itself.
    inc: usize,
    pragma: usize,
}

/// Bytes at which plain text needs a closer look.
const SPECIAL: [bool; 256] = {
    let mut table = [false; 256];
    table[b'\n' as usize] = true;
    table[b'"' as usize] = true;
    table[b'\'' as usize] = true;
    table[b'/' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

/// Bytes of identifiers.
const WORD: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    table
};

/// Whether a byte can continue an identifier. Bytes above ASCII are parts of UTF-8 identifiers.
pub(crate) fn is_word(byte: u8) -> bool {
    WORD[byte as usize]
}

/// Whether a byte can start an identifier.
pub(crate) fn is_word_start(byte: u8) -> bool {
    is_word(byte) && !byte.is_ascii_digit()
}

/// Whether a byte is white space within a line.
pub(crate) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0b | 0x0c | b'\r' | 0)
}

/// Bytes made fit for [`Text`]: no byte order mark, with `trigraphs` those replaced, a newline at the end.
pub(crate) fn prepare(mut bytes: Vec<u8>, trigraphs: bool) -> Vec<u8> {
    if bytes.starts_with(b"\xef\xbb\xbf") {
        bytes.drain(..3);
    }
    if trigraphs {
        bytes = replace_trigraphs(&bytes);
    }
    bytes.push(b'\n');
    bytes
}

fn replace_trigraphs(bytes: &[u8]) -> Vec<u8> {
    const FROM: &[u8] = b"=/'()!<>-";
    const TO: &[u8] = b"#\\^[]|{}~";
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if let Some(&[b'?', b'?', third]) = bytes.get(at..at + 3)
            && let Some(index) = memchr(third, FROM)
        {
            out.push(TO[index]);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    out
}

impl<'a> Text<'a> {
    /// Text of bytes from [`prepare`].
    pub(crate) fn new(src: &'a [u8], mode: Mode) -> Self {
        assert_eq!(src.last(), Some(&b'\n'), "prepared bytes end in a newline");
        Self {
            src,
            pos: 0,
            mode,
            line: 1,
            counted: 0,
            stops: None,
        }
    }

    /// Makes [`Self::hop`] move; not for text with digraphs. `embedded` if something may be embedded in the text.
    pub(crate) fn allow_hops(&mut self, embedded: bool) {
        let inc = embedded.then_some(&needles::INC);
        let pragma = embedded.then_some(&needles::PRAGMA);
        let raw_string = self.mode.raw_strings.then_some(&needles::RAW_STRING);
        let or_end = |place: Option<usize>| place.unwrap_or(self.src.len());
        self.stops = Some(Stops {
            hash: or_end(memchr(b'#', self.src)),
            comment: or_end(needles::COMMENT.find(self.src)),
            raw_string: or_end(raw_string.and_then(|needle| needle.find(self.src))),
            backslash: or_end(memchr(b'\\', self.src)),
            inc: or_end(inc.and_then(|needle| needle.find(self.src))),
            pragma: or_end(pragma.and_then(|needle| needle.find(self.src))),
        });
    }

    /// Moves from the start of a line to the start of one that may be a directive, that has something embedded, or in
    /// which something starts that may go on in the next line. What is passed over is certainly none of these.
    pub(crate) fn hop(&mut self) {
        let Some(stops) = &mut self.stops else { return };
        let (src, start) = (self.src, self.pos);
        let next = |stop: &mut usize, find: fn(&[u8]) -> Option<usize>| {
            if *stop < start {
                *stop = find(&src[start..]).map_or(src.len(), |at| start + at);
            }
            *stop
        };
        let mut hazard = next(&mut stops.comment, |src| needles::COMMENT.find(src));
        hazard = hazard.min(next(&mut stops.backslash, |src| memchr(b'\\', src)));
        hazard = hazard.min(next(&mut stops.inc, |src| needles::INC.find(src)));
        hazard = hazard.min(next(&mut stops.pragma, |src| needles::PRAGMA.find(src)));
        if self.mode.raw_strings {
            hazard = hazard.min(next(&mut stops.raw_string, |src| {
                needles::RAW_STRING.find(src)
            }));
        }
        let line_of = |at: usize| {
            memrchr(b'\n', &src[start..at]).map_or(start, |newline| start + newline + 1)
        };
        let mut hash = next(&mut stops.hash, |src| memchr(b'#', src));
        while hash < hazard {
            let line = line_of(hash);
            if src[line..hash].iter().all(|&b| is_space(b)) {
                self.pos = line;
                return;
            }
            hash = memchr(b'#', &src[hash + 1..]).map_or(src.len(), |at| hash + 1 + at);
            stops.hash = hash;
        }
        self.pos = if hazard < src.len() {
            line_of(hazard)
        } else {
            src.len()
        };
    }

    /// Line number at the position, from 1.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "files are shorter than 4 GiB"
    )]
    pub(crate) fn line(&mut self) -> u32 {
        self.line += memchr_iter(b'\n', &self.src[self.counted..self.pos]).count() as u32;
        self.counted = self.pos;
        self.line
    }

    /// Whether everything was consumed.
    pub(crate) fn at_end(&self) -> bool {
        self.pos >= self.src.len()
    }

    /// Where a splice at `at` ends, if there is one: backslash, optional spaces, newline.
    fn splice(&self, at: usize) -> Option<usize> {
        if self.src.get(at) != Some(&b'\\') {
            return None;
        }
        let mut end = at + 1;
        while self.src.get(end).is_some_and(|&b| is_space(b)) {
            end += 1;
        }
        (self.src.get(end) == Some(&b'\n') && end + 1 < self.src.len()).then_some(end + 1)
    }

    /// The byte at a position with splices resolved, and where it is.
    fn peek_at(&self, mut at: usize) -> (u8, usize) {
        while let Some(end) = self.splice(at) {
            at = end;
        }
        (self.src.get(at).copied().unwrap_or(b'\n'), at)
    }

    /// The next byte with splices resolved.
    pub(crate) fn peek(&self) -> u8 {
        self.peek_at(self.pos).0
    }

    /// Consumes the byte that [`Self::peek`] shows.
    pub(crate) fn bump(&mut self) {
        self.pos = (self.peek_at(self.pos).1 + 1).min(self.src.len());
    }

    /// Consumes a given byte if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == byte;
        if next {
            self.bump();
        }
        next
    }

    /// Skips white space and comments, but no newline outside comments.
    pub(crate) fn skip_blank(&mut self) {
        loop {
            let (byte, at) = self.peek_at(self.pos);
            if byte != b'\n' && is_space(byte) {
                self.pos = at + 1;
            } else if byte != b'/' || !self.skip_comment(at) {
                return;
            }
        }
    }

    /// Skips a comment if one starts at `at`; a line comment up to its newline.
    fn skip_comment(&mut self, at: usize) -> bool {
        let (second, second_at) = self.peek_at(at + 1);
        match second {
            b'*' => self.skip_block_comment(second_at + 1),
            b'/' if self.mode.line_comments => self.skip_line_comment(second_at + 1),
            _ => return false,
        }
        true
    }

    fn skip_block_comment(&mut self, from: usize) {
        let mut at = from;
        while let Some(star) = memchr(b'*', &self.src[at.min(self.src.len())..]) {
            let (next, next_at) = self.peek_at(at + star + 1);
            if next == b'/' {
                self.pos = next_at + 1;
                return;
            }
            at += star + 1;
        }
        self.pos = self.src.len();
    }

    fn skip_line_comment(&mut self, from: usize) {
        let mut at = from.min(self.src.len());
        while let Some(newline) = memchr(b'\n', &self.src[at..]) {
            let end = at + newline;
            let mut back = end;
            while back > from && is_space(self.src[back - 1]) {
                back -= 1;
            }
            if back == from || self.src[back - 1] != b'\\' || end + 1 >= self.src.len() {
                self.pos = end;
                return;
            }
            at = end + 1;
        }
        self.pos = self.src.len();
    }

    /// Skips the rest of a logical line, its newline included.
    pub(crate) fn skip_line(&mut self) {
        while self.pos < self.src.len() {
            while !SPECIAL[self.src[self.pos] as usize] {
                self.pos += 1;
            }
            let byte = self.src[self.pos];
            match byte {
                b'\n' => {
                    self.pos += 1;
                    return;
                }
                b'/' if self.skip_comment(self.pos) => {}
                b'\\' => self.pos = self.splice(self.pos).unwrap_or(self.pos + 1),
                quote @ (b'"' | b'\'') => {
                    let start = self.pos;
                    self.skip_literal(quote, start);
                }
                _ => self.pos += 1,
            }
        }
    }

    /// Skips a literal that starts at `at`, if it is one.
    fn skip_literal(&mut self, quote: u8, at: usize) {
        let before = &self.src[..at];
        if quote == b'"' && self.mode.raw_strings && ends_in_raw_prefix(before) {
            self.pos = self.raw_end(at);
        } else if quote == b'\'' && self.mode.separators && in_number(before) {
            self.pos = at + 1;
        } else {
            self.pos = self.quoted_end(quote, at + 1);
        }
    }

    /// Where the literal ends whose content starts at `at`: after the closing quote, or at the newline.
    fn quoted_end(&self, quote: u8, mut at: usize) -> usize {
        loop {
            match self.src.get(at) {
                None | Some(b'\n') => return at,
                Some(b'\\') => {
                    at = match self.splice(at) {
                        Some(end) => end,
                        // The escaped byte may itself come after splices.
                        None if self.peek_at(at + 1).0 == b'\n' => at + 1,
                        None => self.peek_at(at + 1).1 + 1,
                    };
                }
                Some(&byte) if byte == quote => return at + 1,
                Some(_) => at += 1,
            }
        }
    }

    /// Where the raw string ends whose quote is at `at`; splices have no meaning in it.
    fn raw_end(&self, at: usize) -> usize {
        let Some(paren) = memchr(b'(', &self.src[at..]) else {
            return self.quoted_end(b'"', at + 1);
        };
        let delimiter = &self.src[at + 1..at + paren];
        if delimiter.len() > 16
            || delimiter
                .iter()
                .any(|&b| matches!(b, b'\n' | b'"' | b'\\' | b')' | b' '))
        {
            return self.quoted_end(b'"', at + 1);
        }
        let close = [b")", delimiter, b"\""].concat();
        let from = at + paren + 1;
        memmem::find(&self.src[from..], &close)
            .map_or(self.src.len(), |end| from + end + close.len())
    }

    /// Consumes an identifier, splices resolved.
    pub(crate) fn word(&mut self, out: &mut Vec<u8>) {
        out.clear();
        let rest = &self.src[self.pos..];
        let len = rest.iter().position(|&b| !is_word(b)).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..len]);
        self.pos += len;
        while is_word(self.peek()) {
            out.push(self.peek());
            self.bump();
        }
    }

    /// Consumes everything up to `close` on this line, with it, as the name of a header.
    pub(crate) fn header(&mut self, close: u8, out: &mut Vec<u8>) -> bool {
        let start = self.pos;
        out.clear();
        let rest = &self.src[start..];
        let len = rest
            .iter()
            .position(|&b| b == close || matches!(b, b'\n' | b'\\'));
        if let Some(len) = len
            && rest[len] == close
        {
            out.extend_from_slice(&rest[..len]);
            self.pos += len + 1;
            return true;
        }
        loop {
            let byte = self.peek();
            if byte == b'\n' {
                self.pos = start;
                return false;
            }
            self.bump();
            if byte == close {
                return true;
            }
            out.push(byte);
        }
    }

    /// Consumes the rest of the logical line and its newline; comments become one space, splices nothing.
    pub(crate) fn logical_line(&mut self, out: &mut Vec<u8>) {
        while self.pos < self.src.len() {
            let start = self.pos;
            while !SPECIAL[self.src[self.pos] as usize] {
                self.pos += 1;
            }
            out.extend_from_slice(&self.src[start..self.pos]);
            let at = self.pos;
            let byte = self.src[at];
            match byte {
                b'\n' => {
                    self.pos += 1;
                    break;
                }
                b'/' if self.skip_comment(at) => out.push(b' '),
                b'\\' if self.splice(at).is_some() => {
                    self.pos = self.splice(at).expect("just seen")
                }
                quote @ (b'"' | b'\'') => self.copy_literal(quote, out),
                byte => {
                    out.push(byte);
                    self.pos += 1;
                }
            }
        }
        while out.last().is_some_and(|&b| is_space(b)) {
            out.pop();
        }
    }

    fn copy_literal(&mut self, quote: u8, out: &mut Vec<u8>) {
        let at = self.pos;
        let raw = quote == b'"' && self.mode.raw_strings && ends_in_raw_prefix(out);
        if !raw && quote == b'\'' && self.mode.separators && in_number(out) {
            out.push(quote);
            self.pos += 1;
            return;
        }
        self.pos = if raw {
            self.raw_end(at)
        } else {
            self.quoted_end(quote, at + 1)
        };
        let literal = &self.src[at..self.pos];
        if raw || memchr(b'\n', literal).is_none() {
            out.extend_from_slice(literal);
            return;
        }
        let mut copy = at;
        while copy < self.pos {
            let (byte, found) = self.peek_at(copy);
            if found < self.pos {
                out.push(byte);
            }
            copy = found + 1;
        }
    }
}

/// Whether text ends in `R`, `LR`, `uR`, `UR` or `u8R` as a whole word.
fn ends_in_raw_prefix(text: &[u8]) -> bool {
    if text.last() != Some(&b'R') {
        return false;
    }
    let start = text
        .iter()
        .rposition(|&b| !is_word(b))
        .map_or(0, |at| at + 1);
    matches!(&text[start..], b"R" | b"LR" | b"uR" | b"UR" | b"u8R")
}

/// Whether text ends inside a number, so that an apostrophe separates its digits.
fn in_number(text: &[u8]) -> bool {
    if !text.last().is_some_and(|&b| is_word(b)) {
        return false;
    }
    let start = text
        .iter()
        .rposition(|&b| !is_word(b) && !matches!(b, b'\'' | b'.'))
        .map_or(0, |at| at + 1);
    // `'a'b'c'` would look like a number from its middle; a number starts with a digit.
    let number = &text[start..];
    let first = if number.first() == Some(&b'.') {
        number.get(1)
    } else {
        number.first()
    };
    first.is_some_and(u8::is_ascii_digit)
}
