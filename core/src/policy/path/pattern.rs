//! Allowed directories and globs (section 7, "Paths").

use super::super::pattern::glob_matches;
use super::super::quote::Quoted;
use super::reading::text_climbs;
use crate::error::{Error, ErrorKind, Result};

/// An allowed directory prefix or glob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    text: String,
    parts: Vec<Part>,
}

/// What one component of a path, or a run of them, has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// Exactly this component.
    Name(String),
    /// One component that fits the glob.
    Glob(String),
    /// Any number of components, also none.
    Deep,
}

impl Part {
    fn accepts(&self, component: &str) -> bool {
        match self {
            Self::Name(name) => name == component,
            Self::Glob(glob) => glob_matches(glob, component),
            Self::Deep => true,
        }
    }
}

impl PathPattern {
    /// Parses the text of an entry.
    ///
    /// # Errors
    /// `CONFIG_INVALID` when the entry is empty, relative, begins with `//`, has a NUL or a `..` component, or has `**`
    /// beside other characters in one component.
    pub fn parse(text: &str) -> Result<Self> {
        check_entry("path entry", text)?;
        let mut parts = Vec::new();
        for component in components(text) {
            parts.push(match component {
                "**" => Part::Deep,
                mixed if mixed.contains("**") => {
                    return Err(invalid("path entry", text, "has `**` beside other characters in one component"));
                }
                glob if glob.contains(['*', '?']) => Part::Glob(glob.to_owned()),
                name => Part::Name(name.to_owned()),
            });
        }
        let is_prefix = parts.iter().all(|part| matches!(part, Part::Name(_)));
        match parts.last() {
            // A final `/*` or `/**`: at least one component more, and everything below it.
            Some(Part::Glob(glob)) if glob == "*" => parts.push(Part::Deep),
            Some(Part::Deep) => {
                parts.pop();
                parts.extend([Part::Glob("*".to_owned()), Part::Deep]);
            }
            Some(Part::Name(_) | Part::Glob(_)) | None => {
                if is_prefix {
                    parts.push(Part::Deep);
                }
            }
        }
        Ok(Self { text: text.to_owned(), parts })
    }

    /// Parses the text of a deny entry: here also what lies below something that fits a glob is covered, since a denied
    /// directory whose files may be read would be no denial.
    pub(in crate::policy) fn parse_covering(text: &str) -> Result<Self> {
        let mut pattern = Self::parse(text)?;
        if pattern.parts.last() != Some(&Part::Deep) {
            pattern.parts.push(Part::Deep);
        }
        Ok(pattern)
    }

    /// The entry as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the components of an absolute path fit. Only the last `**` seen is ever retried.
    pub(in crate::policy) fn matches<'t>(&self, components: impl Iterator<Item = &'t str> + Clone) -> bool {
        let mut parts = self.parts.as_slice();
        let mut rest = components;
        let mut retry = None;
        loop {
            let mut ahead = rest.clone();
            match (parts.split_first(), ahead.next()) {
                (Some((Part::Deep, after)), _) => {
                    if after.is_empty() {
                        return true;
                    }
                    retry = Some((after, rest.clone()));
                    parts = after;
                    continue;
                }
                (None, None) => return true,
                (Some((part, after)), Some(component)) if part.accepts(component) => {
                    (parts, rest) = (after, ahead);
                    continue;
                }
                (Some(_) | None, Some(_)) | (Some(_), None) => {}
            }
            let Some((after_deep, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            (parts, rest) = (*after_deep, from.clone());
        }
    }
}

/// The absolute directory under which relative paths are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePath {
    text: String,
}

impl BasePath {
    /// Parses an absolute path without `..`; `*` and `?` are ordinary characters.
    ///
    /// # Errors
    /// `CONFIG_INVALID` with what is wrong.
    pub fn parse(text: &str) -> Result<Self> {
        check_entry("base path", text)?;
        Ok(Self { text: text.to_owned() })
    }

    /// The path as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Checks that a path in a context file is absolute and does not climb.
fn check_entry(what: &str, text: &str) -> Result<()> {
    if !text.starts_with('/') {
        return Err(invalid(what, text, "is not an absolute path"));
    }
    if text.starts_with("//") {
        return Err(invalid(what, text, "begins with `//`, which no path matches"));
    }
    if text.contains('\0') {
        return Err(invalid(what, text, "contains NUL"));
    }
    if text_climbs(text) {
        return Err(invalid(what, text, "has a `..` component"));
    }
    Ok(())
}

/// The components of a path whose only separator is `/`, with `.` and inner `//` folded.
pub(in crate::policy) fn components(text: &str) -> impl Iterator<Item = &str> + Clone {
    text.split('/').filter(|component| !component.is_empty() && *component != ".")
}

fn invalid(what: &str, text: &str, why: &str) -> Error {
    Error::new(ErrorKind::ConfigInvalid, format!("{what} {} {why}", Quoted(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(components(path))
    }

    #[test]
    fn refuses_what_lies_beside() {
        for (pattern, path) in [
            ("/workspace", "/workspace2/a"),
            ("/workspace", "/"),
            ("/workspace", "/Workspace"),
            ("/workspace/a", "/workspace"),
            ("/workspace/*", "/workspace"),
            ("/workspace/*", "/workspace/."),
            ("/workspace/**", "/workspace/"),
            ("/workspace/**/**", "/workspace/"),
            ("/*", "/"),
            ("/data/*.csv", "/data/x/1.csv"),
            ("/data/*.csv", "/data/1.csv/x"),
            ("/data/*/public", "/data/a/b/public"),
            ("/data/*/public", "/data/a/public/x"),
            ("/data/*/public", "/data/public"),
            ("/logs/**/app.log", "/logs/a/app.log.1"),
            ("/logs/**/app.log", "/other/app.log"),
            ("/logs/**/app.log", "/logs/app.log/x"),
            ("/pub/*/v?/*", "/pub/eu/v1"),
            ("/pub/*/v?/*", "/pub/eu/v12/a"),
            ("/a/**/b/*", "/a/x/b"),
            ("/caf\u{e9}", "/cafe\u{301}"),
            ("/[ab]", "/a"),
            ("/{a,b}", "/a"),
        ] {
            assert!(!matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn covers_what_lies_below() {
        for (pattern, path) in [
            ("/", "/"),
            ("/", "/etc"),
            ("/workspace", "/workspace"),
            ("/workspace/", "/workspace/a//./b"),
            ("/workspace/./a", "/workspace/a/b"),
            ("/workspace/*", "/workspace/a/b"),
            ("/workspace/**", "/workspace/a"),
            ("/*", "/etc/x"),
            ("/data/*.csv", "/data/.csv"),
            ("/logs/**/app.log", "/logs/app.log"),
            ("/logs/**/app.log", "/logs/app.log/b/app.log"),
            ("/a/**/b/**/c", "/a/b/b/x/b/c"),
            ("/a/**/b/*", "/a/x/b/b"),
            ("/pub/*/v?/*", "/pub/eu/v\u{e9}/a/b"),
            ("/[ab]{c}", "/[ab]{c}/x"),
        ] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn refuses_entries_that_mean_nothing() {
        for text in [
            "",
            "workspace",
            "./a",
            "~/a",
            "//a",
            "\\a",
            "C:\\a",
            "file:///a",
            "/a/../b",
            "/..",
            "/a/.. ",
            "/a\\..\\b",
            "/a/**b",
            "/a/***",
            "/a**/b",
            "/a\0",
        ] {
            assert_eq!(PathPattern::parse(text).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{text:?}");
        }
        for text in ["", "a", "//a", "/a/..", "/a/../b"] {
            assert_eq!(BasePath::parse(text).unwrap_err().kind(), ErrorKind::ConfigInvalid, "{text:?}");
        }
        assert!(PathPattern::parse("/a/..b/c..d/...").is_ok());
    }

    #[test]
    fn takes_no_exponential_time() {
        let pattern = format!("/{}x", "**/a/".repeat(30));
        assert!(!matches(&pattern, &"/a".repeat(5_000)));
    }
}
