//! Just enough JSON for `compile_commands.json`.

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    String(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
    /// Numbers, `true`, `false` and `null`, which nobody asks for.
    Other,
}

impl Json {
    /// Parses a text; `None` if it is not JSON.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let mut reader = Reader { text, at: 0 };
        let value = reader.value(0)?;
        reader.space();
        (reader.at == text.len()).then_some(value)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(entries) => entries.iter().find(|it| it.0 == name).map(|it| &it.1),
            _ => None,
        }
    }

    pub(crate) fn string(&self) -> Option<&str> {
        if let Self::String(text) = self {
            Some(text)
        } else {
            None
        }
    }

    pub(crate) fn array(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self {
            Some(items)
        } else {
            None
        }
    }
}

const DEPTH_MAX: u32 = 50;

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn space(&mut self) {
        while self.text.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        self.space();
        (self.text.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn value(&mut self, depth: u32) -> Option<Json> {
        if depth > DEPTH_MAX {
            return None;
        }
        self.space();
        match self.text.get(self.at)? {
            b'"' => self.string().map(Json::String),
            b'[' => {
                self.at += 1;
                let mut items = Vec::new();
                while self.eat(b']').is_none() {
                    items.push(self.value(depth + 1)?);
                    let _: Option<()> = self.eat(b',');
                }
                Some(Json::Array(items))
            }
            b'{' => {
                self.at += 1;
                let mut entries = Vec::new();
                while self.eat(b'}').is_none() {
                    self.space();
                    let name = self.string()?;
                    self.eat(b':')?;
                    entries.push((name, self.value(depth + 1)?));
                    let _: Option<()> = self.eat(b',');
                }
                Some(Json::Object(entries))
            }
            _ => {
                let start = self.at;
                while self
                    .text
                    .get(self.at)
                    .is_some_and(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
                {
                    self.at += 1;
                }
                (self.at > start).then_some(Json::Other)
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        self.eat(b'"')?;
        let mut out = Vec::new();
        loop {
            let byte = *self.text.get(self.at)?;
            self.at += 1;
            match byte {
                b'"' => return String::from_utf8(out).ok(),
                b'\\' => {
                    let escape = *self.text.get(self.at)?;
                    self.at += 1;
                    match escape {
                        b'n' => out.push(b'\n'),
                        b't' => out.push(b'\t'),
                        b'r' => out.push(b'\r'),
                        b'u' => {
                            let digits =
                                std::str::from_utf8(self.text.get(self.at..self.at + 4)?).ok()?;
                            self.at += 4;
                            let code = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
                            out.extend_from_slice(code.encode_utf8(&mut [0; 4]).as_bytes());
                        }
                        other => out.push(other),
                    }
                }
                other => out.push(other),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_shape_is_read() {
        let json =
            Json::parse(br#" [ {"a": "x\"\\\u0041", "n": -1.5, "l": ["y", true]} ] "#).unwrap();
        let entry = &json.array().unwrap()[0];
        assert_eq!(entry.get("a").unwrap().string(), Some("x\"\\A"));
        assert_eq!(
            entry.get("l").unwrap().array().unwrap()[0].string(),
            Some("y")
        );
        assert_eq!(Json::parse(b"[1"), None);
    }
}
