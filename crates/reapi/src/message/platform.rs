//! `Platform`: what an action asks of the machine that runs it.

use crate::invalid::{In, Invalid, Problem};
use crate::wire::{put_bytes, put_message};

const PLATFORM: In = In("Platform");
const PROPERTY: In = In("Platform.Property");

/// Most properties of an action. Real ones have fewer than ten.
const PROPERTIES_MAX: usize = 256;

/// Names and values, sorted by both. A name may occur several times.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Platform {
    /// `(name, value)`.
    pub properties: Vec<(String, String)>,
}

impl Platform {
    /// The first value of a property.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut all = self.properties.iter();
        let property = all.find(|(known, _)| known == name);
        property.map(|(_, value)| value.as_str())
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Platform, Invalid> {
        let mut properties = Vec::new();
        for field in PLATFORM.fields(bytes) {
            if let (1, value) = field? {
                let property = decode_property(PLATFORM.at("properties", value.bytes())?)?;
                properties.push(property);
                if properties.len() > PROPERTIES_MAX {
                    let (max, unit) = (PROPERTIES_MAX as u64, "entries");
                    return PLATFORM.at("properties", Err(Problem::TooMuch { max, unit }));
                }
            }
        }
        Ok(Platform { properties })
    }

    /// Appends the message as field `number`, sorted; nothing if there are no properties.
    pub(crate) fn put(&self, out: &mut Vec<u8>, number: u32) {
        if self.properties.is_empty() {
            return;
        }
        let mut sorted: Vec<_> = self.properties.iter().collect();
        sorted.sort();
        put_message(out, number, |out| {
            for (name, value) in sorted {
                put_message(out, 1, |out| {
                    put_bytes(out, 1, name.as_bytes());
                    put_bytes(out, 2, value.as_bytes());
                });
            }
        });
    }
}

fn decode_property(bytes: &[u8]) -> Result<(String, String), Invalid> {
    let (mut name, mut content) = ("", "");
    for field in PROPERTY.fields(bytes) {
        match field? {
            (1, value) => name = PROPERTY.at("name", value.text())?,
            (2, value) => content = PROPERTY.at("value", value.text())?,
            _ => {}
        }
    }
    Ok((name.into(), content.into()))
}
