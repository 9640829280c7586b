//! What an action asks of this machine by platform properties.
//!
//! A worker that cannot give what a property asks must not run the action; so each property is one
//! that this worker gives, one that means nothing to it, one that the administrator said it has
//! (`--property`), or a refusal that names it.

use std::path::{Component, Path, PathBuf};

use reapi::Platform;

/// Where the command sees its input root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// It is the command's `/`.
    Root,
    /// At this path among this machine's programs and libraries.
    Path(PathBuf),
}

/// Where the input root is if the action does not say; as by custom a path that is the same
/// everywhere, so that outputs that hold it are too.
const PATH_DEFAULT: &str = "/build";

/// The property with the input root's absolute path.
const PATH_PROPERTY: &str = "InputRootAbsolutePath";

/// Values that mean this machine's processor and system. Compared without regard to case.
const ARCHITECTURES: &[(&str, &[&str])] = &[
    ("aarch64", &["aarch64", "arm-a64", "arm64"]),
    ("x86_64", &["amd64", "x64", "x86-64", "x86_64", "x86_64_v1"]),
];

/// Properties that name a processor, and those that name a system.
const ARCHITECTURE_PROPERTIES: &[&str] = &["Arch", "ISA", "arch", "cpu"];
const SYSTEM_PROPERTIES: &[&str] = &["OSFamily", "os"];

/// Properties that ask nothing of the machine: keys that keep results apart, and what a worker
/// does in any case.
const WITHOUT_MEANING: &[(&str, Option<&str>)] = &[
    ("Pool", Some("default")),
    ("cache-silo-key", None),
    ("container-image", Some("none")),
    ("dockerNetwork", Some("off")),
    ("network", Some("off")),
    ("no-remote-cache", None),
];

/// What the administrator says this worker has: a name with any value, or with this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) value: Option<String>,
}

impl Property {
    /// Reads `NAME` or `NAME=VALUE`.
    pub(crate) fn parse(text: &str) -> Result<Property, String> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        if name.is_empty() {
            return Err(format!(
                "--property takes NAME or NAME=VALUE, not \"{text}\""
            ));
        }
        Ok(Property {
            name: name.to_owned(),
            value,
        })
    }
}

/// Why this worker does not run an action.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotHere {
    #[error(
        "this worker has no platform property {name}={value}: give it one that it has, or, if it \
         does what the property asks, start it with --property '{name}={value}'"
    )]
    Property { name: String, value: String },
    #[error(
        "{PATH_PROPERTY}={0} is no place for an input root: it takes an absolute path that is `/` or outside of the machine's own directories"
    )]
    Place(String),
}

/// Checks all properties; says where the input root is to be.
pub(super) fn place(
    platform: &Platform,
    ours: &[Property],
    is_taken: impl Fn(&Path) -> bool,
) -> Result<Place, NotHere> {
    let mut place = Place::Path(PATH_DEFAULT.into());
    for (name, value) in &platform.properties {
        if name == PATH_PROPERTY {
            place = parse_place(value, &is_taken)?;
        } else if !is_given(name, value) && !ours.iter().any(|ours| ours.is(name, value)) {
            return Err(NotHere::Property {
                name: name.clone(),
                value: value.clone(),
            });
        }
    }
    Ok(place)
}

impl Property {
    fn is(&self, name: &str, value: &str) -> bool {
        self.name == name && self.value.as_deref().is_none_or(|ours| ours == value)
    }
}

fn is_given(name: &str, value: &str) -> bool {
    let is_one_of = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(value));
    if ARCHITECTURE_PROPERTIES.contains(&name) {
        let ours = ARCHITECTURES
            .iter()
            .find(|(ours, _)| *ours == std::env::consts::ARCH);
        return is_one_of(&[std::env::consts::ARCH]) || ours.is_some_and(|(_, all)| is_one_of(all));
    }
    if SYSTEM_PROPERTIES.contains(&name) {
        return is_one_of(&["linux"]);
    }
    WITHOUT_MEANING
        .iter()
        .any(|(known, wanted)| *known == name && wanted.is_none_or(|wanted| wanted == value))
}

fn parse_place(value: &str, is_taken: impl Fn(&Path) -> bool) -> Result<Place, NotHere> {
    let path = Path::new(value);
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::RootDir | Component::CurDir => {}
            Component::Normal(name) => plain.push(name),
            _ => return Err(NotHere::Place(value.to_owned())),
        }
    }
    if !path.is_absolute() || value.contains('\0') {
        return Err(NotHere::Place(value.to_owned()));
    }
    if plain == Path::new("/") {
        return Ok(Place::Root);
    }
    let own = ["/dev", "/proc", "/sys"];
    if own.iter().any(|own| plain.starts_with(own))
        || plain == Path::new("/tmp")
        || is_taken(&plain)
    {
        return Err(NotHere::Place(value.to_owned()));
    }
    Ok(Place::Path(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(properties: &[(&str, &str)], expected: Result<&str, &str>) {
        let ours = ["has=this", "any"].map(|text| Property::parse(text).unwrap());
        let platform = Platform {
            properties: properties
                .iter()
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        };
        let found = place(&platform, &ours, |path| path.starts_with("/usr"));
        match (found, expected) {
            (Ok(Place::Root), Ok("/")) => {}
            (Ok(Place::Path(path)), Ok(expected)) => assert_eq!(path, Path::new(expected)),
            (Err(why), Err(expected)) => assert!(why.to_string().contains(expected), "{why}"),
            (found, _) => panic!("{properties:?}: {found:?}"),
        }
    }

    #[test]
    fn what_every_client_sends_is_given() {
        check(&[], Ok("/build"));
        check(
            &[("OSFamily", "Linux"), ("OSFamily", "linux")],
            Ok("/build"),
        );
        if cfg!(target_arch = "x86_64") {
            check(&[("ISA", "x86-64"), ("Arch", "amd64")], Ok("/build"));
        }
        check(
            &[("cache-silo-key", "x"), ("dockerNetwork", "off")],
            Ok("/build"),
        );
        check(&[("has", "this"), ("any", "thing")], Ok("/build"));
    }

    #[test]
    fn what_is_not_given_is_named() {
        check(&[("OSFamily", "windows")], Err("OSFamily=windows"));
        check(&[("ISA", "sparc")], Err("ISA=sparc"));
        check(
            &[("dockerNetwork", "standard")],
            Err("dockerNetwork=standard"),
        );
        let image = "docker://registry/image@sha256:0";
        check(
            &[("container-image", image)],
            Err("--property 'container-image="),
        );
        check(&[("has", "that")], Err("has=that"));
    }

    #[test]
    fn the_input_root_is_where_the_action_says() {
        for (path, expected) in [
            ("/", Ok("/")),
            ("//.", Ok("/")),
            ("/home/u/project/", Ok("/home/u/project")),
            ("/tmp/x", Ok("/tmp/x")),
            ("/tmp", Err("no place")),
            ("/usr/src", Err("no place")),
            ("/proc/x", Err("no place")),
            ("/a/../b", Err("no place")),
            ("home", Err("no place")),
            ("", Err("no place")),
        ] {
            check(&[("InputRootAbsolutePath", path)], expected);
        }
    }

    #[test]
    fn tables_are_sorted() {
        assert!(ARCHITECTURES.is_sorted());
        assert!(ARCHITECTURE_PROPERTIES.is_sorted() && SYSTEM_PROPERTIES.is_sorted());
        assert!(WITHOUT_MEANING.is_sorted());
        assert!(Property::parse("=x").is_err());
    }
}
