//! Files, standard input and small texts of the command line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use smcp_core::json::{self, Kind, Limits};
use smcp_core::settings::{Syntax, quote};
use smcp_core::time::UnixTime;

use super::failure::{Failure, Outcome};

/// The largest file a command reads whole, in bytes.
pub(super) const LARGEST: usize = 64 << 20;

/// Reads a file, or standard input for `-`.
pub(super) fn read_file(path: &Path) -> Outcome<Vec<u8>> {
    let refuse = |what: &str| Failure::usage(format!("cannot read {}: {what}", shown(path)));
    let unreadable = |error: io::Error| refuse(&reason(&error));
    let mut bytes = Vec::new();
    let limit = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    if path.as_os_str() == "-" {
        io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    } else {
        File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    }
    if bytes.len() > LARGEST {
        return Err(refuse(&format!("larger than {LARGEST} bytes")));
    }
    Ok(bytes)
}

/// Reads a file of text.
pub(super) fn read_text(path: &Path) -> Outcome<String> {
    let bytes = read_file(path)?;
    String::from_utf8(bytes).map_err(|_| Failure::usage(format!("cannot read {}: not UTF-8", shown(path))))
}

/// The syntax of a settings file, by its name.
pub(super) fn syntax_of(path: &Path) -> Outcome<Syntax> {
    let extension = path.extension().map(|extension| extension.to_string_lossy().into_owned()).unwrap_or_default();
    Syntax::from_extension(&extension).ok_or_else(|| {
        Failure::usage(format!("{}: the name must end with `.yaml`, `.yml`, `.json` or `.toml`", shown(path)))
    })
}

/// JSON given as it is, as `@FILE`, or as `-` for standard input; it must be one object.
pub(super) fn read_object(argument: &str) -> Outcome<Vec<u8>> {
    let (text, origin) = match argument.strip_prefix('@') {
        Some(path) => (read_file(Path::new(path))?, quote(path)),
        None if argument == "-" => (read_file(Path::new("-"))?, "standard input".to_owned()),
        None => (argument.as_bytes().to_vec(), "the arguments".to_owned()),
    };
    match json::scan_with(&text, Limits { bytes: LARGEST, ..Limits::default() }) {
        Ok(document) if document.root().kind() == Kind::Object => {}
        Ok(_) => {
            return Err(Failure::usage(format!("{origin}: expected a JSON object such as `{{\"path\": \"a.txt\"}}`")));
        }
        Err(error) => return Err(Failure::usage(format!("{origin}: not JSON: {error}"))),
    }
    Ok(text)
}

/// A time with a zone.
pub(super) fn parse_time(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse_rfc3339(text).map_err(|_| "expected a time with a zone such as `2026-02-17T14:32:01Z`".to_owned())
}

/// A length of time such as `90s`, `30m`, `24h` or `7d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let refuse = || "expected a length of time such as `90s`, `30m`, `24h` or `7d`".to_owned();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits).ok_or_else(refuse)?;
    let factor: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(refuse()),
    };
    let seconds = number.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs).ok_or_else(refuse)
}

/// A path as messages show it.
pub(super) fn shown(path: &Path) -> String {
    quote(&path.display().to_string())
}

/// What the operating system says, without its number.
pub(super) fn reason(error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound {
        "no such file or folder".to_owned()
    } else if error.kind() == io::ErrorKind::PermissionDenied {
        "permission denied".to_owned()
    } else {
        error.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, seconds) in [("90s", Some(90)), ("30m", Some(1800)), ("24h", Some(86_400)), ("7d", Some(604_800))] {
            assert_eq!(parse_duration(text).ok(), seconds.map(Duration::from_secs), "{text}");
        }
        for text in ["", "24", "h", "0s", "1.5h", "-1s", "1w", "99999999999999999999s", "9999999999999999d", "1 h", "é"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn arguments_are_one_object() {
        assert_eq!(read_object(r#"{"a":1}"#).unwrap(), br#"{"a":1}"#);
        for text in ["", "[]", "1", "{", r#"{"a":1,"a":2}"#, "@/nonexistent/args.json"] {
            assert!(read_object(text).is_err(), "{text}");
        }
    }
}
