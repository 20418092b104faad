//! The security contexts a gateway offers.

use std::fs;
use std::path::{Path, PathBuf};

use smcp_core::error::Result;
use smcp_core::policy::ContextSet;
use smcp_core::settings::{Cursor, Fields, Syntax, quote};

use super::base::{Base, read_text, shown};

/// Most files in a folder of contexts.
const FILE_LIMIT: usize = 10_000;

/// Reads `contexts`: a folder, contexts written in place, or both. Without it the folder is `contexts`.
pub(super) fn read(root: &Fields<'_>, base: &Base<'_>) -> Result<ContextSet> {
    let mut set = ContextSet::new();
    let place = match root.optional("contexts") {
        Some(field) => {
            let fields = field.fields(&["folder", "inline"])?;
            if let Some(folder) = fields.optional("folder") {
                read_folder(&mut set, &base.folder(&folder)?, &folder)?;
            }
            if let Some(inline) = fields.optional("inline") {
                for context in inline.list()? {
                    set.read(&context)?;
                }
            }
            field
        }
        None => {
            let folder = base.folder.join("contexts");
            if !folder.is_dir() {
                let shown = shown(&folder);
                return Err(root.cursor().error(&format!("missing field `contexts`, and there is no folder {shown}")));
            }
            read_folder(&mut set, &folder, root.cursor())?;
            root.cursor().clone()
        }
    };
    if set.is_empty() {
        return Err(place.error("there is no security context, so that no agent could attest"));
    }
    Ok(set)
}

/// Loads every `.yaml`, `.yml`, `.json` and `.toml` file of a folder by name; hidden files and others are passed over.
fn read_folder(set: &mut ContextSet, folder: &Path, place: &Cursor<'_>) -> Result<()> {
    for (path, syntax) in context_files(folder, place)? {
        let text = read_text(&path).map_err(|error| place.error(error.message()))?;
        set.load(&text, syntax, &path.display().to_string())?;
    }
    Ok(())
}

fn context_files(folder: &Path, place: &Cursor<'_>) -> Result<Vec<(PathBuf, Syntax)>> {
    let unreadable = |error: std::io::Error| place.error(&format!("{}: {error}", shown(folder)));
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        let syntax = path.extension().and_then(|extension| Syntax::from_extension(&extension.to_string_lossy()));
        if let (Some(syntax), false) = (syntax, hidden) {
            files.push((path, syntax));
        }
        if files.len() > FILE_LIMIT {
            return Err(place.error(&format!("{} holds more than {FILE_LIMIT} contexts", shown(folder))));
        }
    }
    files.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    Ok(files)
}

/// A context name that exists.
pub(super) fn known_context(field: &Cursor<'_>, contexts: &ContextSet) -> Result<String> {
    let name = field.non_empty_text()?;
    if contexts.get(name).is_some() {
        return Ok(name.to_owned());
    }
    let mut known: Vec<String> = contexts.iter().take(8).map(|context| format!("`{}`", context.name)).collect();
    if contexts.len() > known.len() {
        known.push("…".to_owned());
    }
    Err(field.error(&format!("there is no context {}; there is {}", quote(name), known.join(", "))))
}
