//! `smcp keygen`.

use smcp_core::keys::{KeySet, PublicKey};

use crate::program::{Program, mode, text};

#[test]
fn makes_private_files_and_overwrites_none() {
    let program = Program::new();
    for (kind, file) in
        [("token", "token.key"), ("agent", "agent.key"), ("audit", "audit.key"), ("operator-token", "operator.token")]
    {
        let out = program.run(&["keygen", "--kind", kind]).done();
        assert!(out.starts_with(&format!("wrote `{file}`\n")), "{out}");
        assert_eq!(mode(&program.path(file)), 0o600);
        let content = std::fs::read(program.path(file)).unwrap();
        let again = program.run(&["keygen", "--kind", kind]);
        assert_eq!(again.err, format!("error: file `{file}` exists already and is not overwritten\n"));
        assert_eq!((again.status, again.out.as_str()), (1, ""));
        assert_eq!(std::fs::read(program.path(file)).unwrap(), content);
    }
}

#[test]
fn the_public_half_is_the_same_in_every_form() {
    let program = Program::new();
    let made = program.run(&["keygen", "--out", "a.key", "--public", "base64"]);
    assert_eq!((made.status, made.err.as_str()), (0, "wrote `a.key`\n"));
    let key = PublicKey::parse_base64(made.out.trim_end()).unwrap();
    let jwks = program.run(&["keygen", "--from", "a.key", "--public", "jwks"]).done();
    let set = KeySet::parse_jwks(jwks.as_bytes()).unwrap();
    assert_eq!(set.keys().len(), 1);
    assert_eq!(set.keys()[0].id(), key.thumbprint());
    let pem = program.run(&["keygen", "--from", "a.key", "--public", "pem"]).done();
    program.write("a.pub", &pem);
    let json = program.run(&["keygen", "--from", "a.pub", "--json"]);
    assert_eq!(text(&json.json(), &["public_key"]), key.to_base64());
    assert_eq!(text(&json.json(), &["algorithm"]), "EdDSA");
}

#[test]
fn a_private_key_is_never_printed() {
    let program = Program::new();
    for arguments in [&["keygen"][..], &["keygen", "--out", "b", "--json"], &["keygen", "--from", "token.key"]] {
        let ran = program.run(arguments);
        assert_eq!(ran.status, 0);
        let file = if arguments.contains(&"b") { "b" } else { "token.key" };
        let pem = std::fs::read_to_string(program.path(file)).unwrap();
        let secret = pem.lines().nth(1).unwrap();
        assert!(!ran.out.contains(secret) && !ran.err.contains(secret));
    }
}
