//! Which argument names hold paths, commands, URLs and free text (section 7, "Which arguments").
//!
//! Names are compared without case, `_` and `-`.

use super::context::{ArgumentNames, Capability};
use super::fold::fold_character;

/// Longest built-in name, and a little more.
const BUFFER: usize = 24;

/// What a member's name says about paths in its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathNaming {
    /// Every string is a path.
    Path,
    /// Only `file:` URIs are paths.
    FileUri,
    /// The name says nothing.
    Other,
}

/// The names that count for one capability, or for a deny entry and a tool.
#[derive(Clone, Copy, Debug)]
pub(super) enum Names<'c> {
    /// A capability's own names in place of the built-in ones.
    Own(&'c ArgumentNames),
    /// The built-in names, and the own names of every capability whose pattern matches the tool: a deny entry looks wherever a
    /// capability would.
    Every(&'c [Capability], &'c str),
}

impl<'c> Names<'c> {
    /// The own names of a kind; for a deny entry those of all matching capabilities.
    fn own(self, kind: impl Fn(&'c ArgumentNames) -> Option<&'c Vec<String>>, name: &str) -> Own {
        match self {
            Self::Own(names) => match kind(names) {
                None => Own::NotSet,
                Some(own) if own.iter().any(|own| same_name(own, name)) => Own::Named,
                Some(_) => Own::NotNamed,
            },
            Self::Every(capabilities, tool) => {
                let named = capabilities
                    .iter()
                    .filter_map(|capability| kind(&capability.arguments).map(|own| (capability, own)))
                    .any(|(capability, own)| {
                        own.iter().any(|own| same_name(own, name)) && capability.tool_pattern.matches(tool)
                    });
                if named { Own::Named } else { Own::NotSet }
            }
        }
    }

    /// Whether a member called `name` holds paths.
    pub(super) fn path(self, name: &str) -> PathNaming {
        match self.own(|names| names.path.as_ref(), name) {
            Own::Named => PathNaming::Path,
            Own::NotNamed => PathNaming::Other,
            Own::NotSet => path_naming(name),
        }
    }

    /// Whether strings under other names are suspected of being paths.
    pub(super) fn suspects_paths(self) -> bool {
        match self {
            Self::Own(names) => names.path.is_none(),
            Self::Every(..) => false,
        }
    }

    /// Whether a member called `name` holds a command.
    pub(super) fn command(self, name: &str) -> bool {
        match self.own(|names| names.command.as_ref(), name) {
            Own::Named => true,
            Own::NotNamed => false,
            Own::NotSet => squashed(name, &mut [0; BUFFER], |name| matches!(name, "command" | "cmd" | "argv")),
        }
    }

    /// Whether a member called `name` holds URLs or hosts.
    pub(super) fn domain(self, name: &str) -> bool {
        match self.own(|names| names.domain.as_ref(), name) {
            Own::Named => true,
            Own::NotNamed => false,
            Own::NotSet => squashed(name, &mut [0; BUFFER], |name| {
                matches!(
                    name,
                    "url" | "urls" | "uri" | "href" | "link" | "endpoint" | "domain" | "domains" | "host" | "hostname"
                )
            }),
        }
    }
}

enum Own {
    /// No own names: the built-in ones count.
    NotSet,
    Named,
    NotNamed,
}

/// Whether a member called `name` holds further words of the command beside it.
pub(super) fn is_args(name: &str) -> bool {
    squashed(name, &mut [0; BUFFER], |name| name == "args")
}

/// Whether a member called `name` holds free text, in which nothing is suspected of being a path.
pub(super) fn is_content(name: &str) -> bool {
    squashed(name, &mut [0; BUFFER], |name| {
        matches!(
            name,
            "content"
                | "contents"
                | "text"
                | "body"
                | "data"
                | "query"
                | "message"
                | "prompt"
                | "pattern"
                | "regex"
                | "code"
                | "script"
                | "sql"
                | "oldtext"
                | "newtext"
                | "oldstring"
                | "newstring"
        )
    })
}

fn path_naming(name: &str) -> PathNaming {
    let whole = squashed(name, &mut [0; BUFFER], |name| match name {
        "path" | "paths" | "file" | "filename" | "files" | "dir" | "cwd" | "root" | "source" | "src"
        | "destination" | "dest" | "dst" => Some(PathNaming::Path),
        "uri" => Some(PathNaming::FileUri),
        _ => None,
    });
    match whole {
        Some(naming) => naming,
        None if ends_in_path_word(name) => PathNaming::Path,
        None => PathNaming::Other,
    }
}

/// Whether the last word of a name is one for paths. Words end at `_`, `-` or a change to upper case.
fn ends_in_path_word(name: &str) -> bool {
    let name = name.trim_end_matches(['_', '-']);
    let word = name.rsplit(['_', '-']).next().unwrap_or(name);
    is_path_word(word) || is_path_word(last_hump(word, false)) || is_path_word(last_hump(word, true))
}

/// The part of a word from its last change to upper case. With `acronyms`, the last capital of a run belongs to the small
/// letters behind it (`HTMLFile`).
fn last_hump(word: &str, acronyms: bool) -> &str {
    let mut start = 0;
    let mut previous_is_upper = true;
    let mut characters = word.char_indices().peekable();
    while let Some((index, character)) = characters.next() {
        let is_upper = character.is_uppercase();
        let before_small = characters.peek().is_some_and(|(_, next)| next.is_lowercase());
        if is_upper && (!previous_is_upper || (acronyms && before_small)) {
            start = index;
        }
        previous_is_upper = is_upper;
    }
    word.get(start..).unwrap_or(word)
}

fn is_path_word(word: &str) -> bool {
    squashed(word, &mut [0; BUFFER], |word| {
        matches!(
            word,
            "path" | "paths" | "file" | "files" | "dir" | "directory" | "folder" | "filepath" | "filepaths" | "dirpath"
        )
    })
}

/// The characters of a name that are compared.
fn significant(name: &str) -> impl Iterator<Item = char> {
    name.chars().filter(|character| !matches!(character, '_' | '-')).flat_map(fold_character)
}

fn same_name(left: &str, right: &str) -> bool {
    left == right || significant(left).eq(significant(right))
}

/// Hands `read` the name as it is compared, without allocating; a name longer than any built-in one is handed on as `""`.
fn squashed<T>(name: &str, buffer: &mut [u8; BUFFER], read: impl FnOnce(&str) -> T) -> T {
    if name.is_ascii() {
        let mut length = 0_usize;
        for byte in name.bytes().filter(|byte| !matches!(byte, b'_' | b'-')) {
            let Some(place) = buffer.get_mut(length) else { return read("") };
            *place = byte.to_ascii_lowercase();
            length = length.saturating_add(1);
        }
        return read(buffer.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default());
    }
    let mut length = 0_usize;
    for character in significant(name) {
        let Some(place) = buffer.get_mut(length..).filter(|place| place.len() >= character.len_utf8()) else {
            return read("");
        };
        length = length.saturating_add(character.encode_utf8(place).len());
    }
    read(buffer.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILT_IN: Names<'static> = Names::Own(&ArgumentNames { path: None, command: None, domain: None });

    #[test]
    fn other_names_say_nothing() {
        for name in [
            "",
            "_",
            "-",
            "target",
            "profile",
            "xpath2",
            "myfilepath",
            "location",
            "pathology",
            "file1",
            "output.path",
            "query",
            "directoryx",
            "OUTPUTPATH",
            "args",
            &"path".repeat(10),
            "uris",
        ] {
            assert_eq!(BUILT_IN.path(name), PathNaming::Other, "{name}");
        }
        for name in ["commands", "command2", "args", "script", ""] {
            assert!(!BUILT_IN.command(name), "{name}");
        }
        for name in ["callback", "target_url", "urlx", "hosts", ""] {
            assert!(!BUILT_IN.domain(name), "{name}");
        }
        for name in ["note", "new", "texts", "datafile"] {
            assert!(!is_content(name), "{name}");
        }
    }

    #[test]
    fn names_are_compared_without_case_and_joints() {
        for name in [
            "path",
            "PATH",
            "Path",
            "p-a_t-h",
            "_path_",
            "filePath",
            "file_path",
            "FILEPATH",
            "file-name",
            "FileName",
            "cwd",
            "dst",
            "outputPath",
            "output_path",
            "output-PATH",
            "outputPATH",
            "output_PaTh",
            "OUTPUT_PATH",
            "HTMLFile",
            "input_files_",
            "workingDirectory",
            "target_folder",
            "my_filepaths",
            "some_dirpath",
            "\u{17f}ource",
            "outputPATHs",
            "x2Dir",
            "-file",
        ] {
            assert_eq!(BUILT_IN.path(name), PathNaming::Path, "{name}");
        }
        assert_eq!(BUILT_IN.path("U_R-I"), PathNaming::FileUri);
        assert!(BUILT_IN.command("Cmd") && BUILT_IN.command("ARG_V") && is_args("Args"));
        assert!(BUILT_IN.domain("host_name") && BUILT_IN.domain("lin\u{212a}"));
        assert!(is_content("newText") && is_content("OLD_STRING"));
    }

    #[test]
    fn own_names_replace_the_built_in_ones() {
        let own = ArgumentNames { path: Some(vec!["loc_ation".into(), "uri".into()]), ..ArgumentNames::default() };
        let names = Names::Own(&own);
        assert_eq!(names.path("Location"), PathNaming::Path);
        assert_eq!(names.path("uri"), PathNaming::Path);
        assert_eq!(names.path("path"), PathNaming::Other);
        assert!(!names.suspects_paths());
        assert!(names.command("cmd") && BUILT_IN.suspects_paths());
    }
}
