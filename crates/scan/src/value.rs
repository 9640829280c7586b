//! Values in conditions: 64-bit integers, signed or not, which may be unknown.

/// An integer as `#if` knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Int {
    pub(crate) bits: u64,
    pub(crate) unsigned: bool,
}

/// A value, or that it is not known (including what a compiler would complain about).
pub(crate) type Value = Option<Int>;

impl Int {
    pub(crate) fn new(bits: u64) -> Self {
        Self {
            bits,
            unsigned: false,
        }
    }

    pub(crate) fn truth(value: bool) -> Self {
        Self::new(u64::from(value))
    }

    pub(crate) fn is_true(self) -> bool {
        self.bits != 0
    }

    #[expect(clippy::cast_possible_wrap, reason = "two's complement is meant")]
    fn signed(self) -> i64 {
        self.bits as i64
    }

    #[expect(clippy::cast_sign_loss, reason = "two's complement is meant")]
    fn from_signed(value: i64) -> Self {
        Self::new(value as u64)
    }
}

/// The binary operators, but for `&&`, `||`, `?:` and the comma, which do not need both values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    Or,
    Xor,
    And,
    Equal,
    Unequal,
    Less,
    Greater,
    LessEqual,
    GreaterEqual,
    Left,
    Right,
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
}

/// Applies an operator. Division by zero has no known value.
pub(crate) fn apply(op: Binary, a: Int, b: Int) -> Value {
    let unsigned = a.unsigned || b.unsigned;
    let int = |bits| Some(Int { bits, unsigned });
    let truth = |value| Some(Int::truth(value));
    let less = |a: Int, b: Int| {
        if unsigned {
            a.bits < b.bits
        } else {
            a.signed() < b.signed()
        }
    };
    match op {
        Binary::Or => int(a.bits | b.bits),
        Binary::Xor => int(a.bits ^ b.bits),
        Binary::And => int(a.bits & b.bits),
        Binary::Equal => truth(a.bits == b.bits),
        Binary::Unequal => truth(a.bits != b.bits),
        Binary::Less => truth(less(a, b)),
        Binary::Greater => truth(less(b, a)),
        Binary::LessEqual => truth(!less(b, a)),
        Binary::GreaterEqual => truth(!less(a, b)),
        // Compilers differ in what other counts mean.
        Binary::Left | Binary::Right if b.bits >= 64 => None,
        Binary::Left => int_of(a, a.bits << b.bits),
        Binary::Right if a.unsigned => int_of(a, a.bits >> b.bits),
        Binary::Right => Some(Int::from_signed(a.signed() >> b.bits)),
        Binary::Plus => int(a.bits.wrapping_add(b.bits)),
        Binary::Minus => int(a.bits.wrapping_sub(b.bits)),
        Binary::Times => int(a.bits.wrapping_mul(b.bits)),
        Binary::Divide if unsigned => a.bits.checked_div(b.bits).and_then(int),
        Binary::Modulo if unsigned => a.bits.checked_rem(b.bits).and_then(int),
        Binary::Divide if b.bits == 0 => None,
        Binary::Modulo if b.bits == 0 => None,
        Binary::Divide => Some(Int::from_signed(a.signed().wrapping_div(b.signed()))),
        Binary::Modulo => Some(Int::from_signed(a.signed().wrapping_rem(b.signed()))),
    }
}

/// A value of the type of another.
fn int_of(like: Int, bits: u64) -> Value {
    Some(Int { bits, ..like })
}

/// The value of an integer literal.
pub(crate) fn number(text: &[u8]) -> Value {
    let hexadecimal = matches!(text, [b'0', b'x' | b'X', ..]);
    let mut digits = text;
    let mut unsigned = false;
    let mut longs = 0;
    while let [rest @ .., last] = digits {
        match last.to_ascii_lowercase() {
            b'u' if !unsigned => unsigned = true,
            b'l' if longs < 2 => longs += 1,
            b'z' if !hexadecimal && longs == 0 => longs = 2,
            _ => break,
        }
        digits = rest;
    }
    let (radix, digits) = match digits {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', b'b' | b'B', rest @ ..] => (2, rest),
        [b'0', rest @ ..] if !rest.is_empty() => (8, rest),
        all => (10, all),
    };
    if digits.is_empty() {
        return None;
    }
    let mut bits: u64 = 0;
    for &digit in digits.iter().filter(|&&b| b != b'\'') {
        let digit = (digit as char).to_digit(radix)?;
        bits = bits
            .checked_mul(u64::from(radix))?
            .checked_add(u64::from(digit))?;
    }
    Some(Int {
        bits,
        unsigned: unsigned || bits > i64::MAX as u64,
    })
}

/// The value of a character constant, prefix and quotes included. What depends on character sets is unknown.
pub(crate) fn character(text: &[u8]) -> Value {
    let start = text.iter().position(|&b| b == b'\'')?;
    let body = text[start + 1..].strip_suffix(b"'")?;
    let (value, rest) = match body {
        [b'\\', rest @ ..] => escape(rest)?,
        [byte, rest @ ..] if byte.is_ascii() => (u64::from(*byte), rest),
        _ => return None,
    };
    // A plain `char` may be signed, and several characters make a number of the compiler's choice.
    let known = rest.is_empty() && value < 0x80;
    known.then(|| Int::new(value))
}

fn escape(text: &[u8]) -> Option<(u64, &[u8])> {
    let (&first, rest) = text.split_first()?;
    let value = match first {
        b'n' => 10,
        b't' => 9,
        b'r' => 13,
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'v' => 11,
        b'e' | b'E' => 27,
        b'\\' | b'\'' | b'"' | b'?' => u64::from(first),
        b'0'..=b'7' => {
            let len = text
                .iter()
                .take(3)
                .take_while(|b| matches!(b, b'0'..=b'7'))
                .count();
            let value = text[..len]
                .iter()
                .fold(0, |sum, &b| sum * 8 + u64::from(b - b'0'));
            return Some((value, &text[len..]));
        }
        b'x' => {
            let len = rest.iter().take_while(|b| b.is_ascii_hexdigit()).count();
            let digits = std::str::from_utf8(&rest[..len]).ok()?;
            return Some((u64::from_str_radix(digits, 16).ok()?, &rest[len..]));
        }
        _ => return None,
    };
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals() {
        let known = |text: &str| number(text.as_bytes()).map(|int| (int.bits, int.unsigned));
        assert_eq!(known("0"), Some((0, false)));
        assert_eq!(known("201703L"), Some((201_703, false)));
        assert_eq!(known("0x7fUL"), Some((127, true)));
        assert_eq!(known("0b101"), Some((5, false)));
        assert_eq!(known("017"), Some((15, false)));
        assert_eq!(known("1'000'000ull"), Some((1_000_000, true)));
        assert_eq!(known("0xffffffffffffffff"), Some((u64::MAX, true)));
        assert_eq!(known("1.5"), None);
        assert_eq!(known("99999999999999999999"), None);
        assert_eq!(character(b"'A'"), Some(Int::new(65)));
        assert_eq!(character(b"'\\n'"), Some(Int::new(10)));
        assert_eq!(character(b"L'\\x41'"), Some(Int::new(65)));
        assert_eq!(character(b"'\\377'"), None);
    }

    #[test]
    fn arithmetic_is_that_of_the_compiler() {
        let minus_one = Int::from_signed(-1);
        assert_eq!(
            apply(Binary::Less, minus_one, Int::new(0)),
            Some(Int::truth(true))
        );
        let zero_unsigned = Int {
            bits: 0,
            unsigned: true,
        };
        assert_eq!(
            apply(Binary::Less, minus_one, zero_unsigned),
            Some(Int::truth(false))
        );
        assert_eq!(apply(Binary::Divide, minus_one, Int::new(0)), None);
        assert_eq!(
            apply(Binary::Right, minus_one, Int::new(7)),
            Some(minus_one)
        );
        assert_eq!(
            apply(Binary::Left, Int::new(1), Int::new(5)),
            Some(Int::new(32))
        );
        assert_eq!(apply(Binary::Left, Int::new(1), Int::new(64)), None);
        assert_eq!(apply(Binary::Left, Int::new(8), minus_one), None);
    }
}
