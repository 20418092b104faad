//! What looks secret: names of members, and texts.

/// A name that holds one of these, without case and anything but letters and digits, looks secret.
const SECRET_PARTS: [&str; 25] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "accountkey",
    "authkey",
    "privatekey",
    "signingkey",
    "encryptionkey",
    "sshkey",
    "authorization",
    "authentication",
    "credential",
    "cookie",
    "bearer",
    "jwt",
    "sessionid",
    "sessionkey",
    "signature",
    "connectionstring",
];

/// A name that is one of these looks secret.
const SECRET_WORDS: [&str; 14] =
    ["auth", "key", "pass", "pin", "pw", "otp", "totp", "cvv", "cvc", "ssn", "dsn", "salt", "sid", "xauth"];

/// How issued credentials begin; at least 12 more characters of a credential follow.
const CREDENTIAL_PREFIXES: [&str; 18] = [
    "sk-",
    "sk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xapp-",
    "AKIA",
    "ASIA",
    "AIza",
    "npm_",
    "pypi-",
    "hf_",
];
const CREDENTIAL_LENGTH: usize = 12;
/// Of a long text only so much is looked at, since less than that is written.
const EXAMINED_CHARACTERS: usize = 1024;
const LONGEST_NAME: usize = 64;

/// Whether the value of a member of this name is to be hidden.
pub(super) fn is_secret_name(name: &str) -> bool {
    let letters = name.chars().filter(char::is_ascii_alphanumeric).take(EXAMINED_CHARACTERS);
    let folded: String = letters.map(|letter| letter.to_ascii_lowercase()).collect();
    SECRET_WORDS.contains(&folded.as_str()) || SECRET_PARTS.iter().any(|part| folded.contains(part))
}

/// Whether a text is or holds a credential, whatever its member is called.
pub(super) fn is_secret_text(text: &str) -> bool {
    let end = text.char_indices().nth(EXAMINED_CHARACTERS).map_or(text.len(), |(end, _)| end);
    let text = text.get(..end).unwrap_or_default();
    text.contains("-----BEGIN")
        || has_scheme(text)
        || has_credential(text)
        || has_user_info(text)
        || has_option(text)
        || has_assignment(text)
}

/// `Bearer …`, also inside a header line or a command.
fn has_scheme(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).any(|pair| match pair {
        [scheme, credential] => {
            let scheme = scheme.trim_start_matches(['"', '\'']);
            ["bearer", "basic", "negotiate"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
                && credential.len() >= CREDENTIAL_LENGTH
                && credential.bytes().all(|byte| byte.is_ascii_graphic())
        }
        _ => false,
    })
}

/// A word that begins like an issued credential, or a compact JWS or JWE.
fn has_credential(text: &str) -> bool {
    let separates =
        |character: char| !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.' | '~'));
    text.split(separates).any(|word| {
        let issued = CREDENTIAL_PREFIXES
            .iter()
            .any(|prefix| word.strip_prefix(prefix).is_some_and(|rest| rest.len() >= CREDENTIAL_LENGTH));
        issued || (word.starts_with("eyJ") && word.matches('.').count() >= 2)
    })
}

/// A URL with a password.
fn has_user_info(text: &str) -> bool {
    text.split("://").skip(1).any(|rest| {
        let authority = rest.split(|end: char| matches!(end, '/' | '?' | '#') || end.is_whitespace()).next();
        authority.and_then(|authority| authority.rsplit_once('@')).is_some_and(|(user, _)| user.contains(':'))
    })
}

/// `--password …`, `--api-key …`.
fn has_option(text: &str) -> bool {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.windows(2).any(|pair| match pair {
        [option, _] => option.starts_with('-') && !option.contains('=') && is_secret_name(option),
        _ => false,
    })
}

/// `password=…`, `"api_key": …`, `X-Auth-Token: …`, `?access_token=…`, `--secret=…`.
fn has_assignment(text: &str) -> bool {
    text.match_indices(['=', ':']).any(|(index, _)| {
        let before = text.get(..index).unwrap_or_default().trim_end().trim_end_matches(['"', '\'']);
        let reversed = before.chars().rev().take(LONGEST_NAME);
        let name: String =
            reversed.take_while(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-')).collect();
        let name: String = name.chars().rev().collect();
        let after = text.get(index..).and_then(|rest| rest.get(1..)).unwrap_or_default();
        !name.is_empty() && is_secret_name(&name) && !after.trim().is_empty()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_names_that_look_secret() {
        for name in [
            "password",
            "DB_PASSWORD",
            "userPasswd",
            "api-key",
            "X-Api-Key",
            "apiKey",
            "client_secret",
            "refreshToken",
            "Authorization",
            "Proxy-Authorization",
            "auth",
            "Set-Cookie",
            "aws.secret.access.key",
            "--token",
            "private_key",
            "PIN",
            "key",
        ] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["path", "query", "author", "keyboard", "spin", "passenger", "content", "monkey", "", "authority"] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn tells_texts_that_hold_a_credential() {
        for text in [
            "Bearer abcdefghijklmnop",
            "curl -H 'Authorization: bearer abcdefghijklmnop' x",
            "-----BEGIN PRIVATE KEY-----\nMC4",
            "see eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhIn0.c2ln for it",
            "https://user:secret@example.org/",
            "postgres://app:pw@db/x",
            "ghp_0123456789abcdefABCDEF",
            "AKIAIOSFODNN7EXAMPLE",
            "password=hunter2",
            "mysql --password=hunter2",
            "mysql --password hunter2",
            "{\"api_key\": \"x\"}",
            "X-Auth-Token:x",
            "https://example.org/?a=1&access_token=x",
        ] {
            assert!(is_secret_text(text), "{text}");
        }
        for text in [
            "",
            "/workspace/a",
            "https://example.org/a?b=c",
            "https://example.org/@user:x",
            "basic research",
            "the bearer of news",
            "task-force",
            "sk-short",
            "a = b",
            "password",
            "password: ",
            "eyJ",
            "sudo: x",
            "login --password",
            "git --author x",
        ] {
            assert!(!is_secret_text(text), "{text}");
        }
    }
}
