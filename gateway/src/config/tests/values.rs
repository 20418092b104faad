//! What right configurations mean.

use std::time::Duration;

use super::*;

#[test]
fn the_least_configuration_has_these_defaults() {
    let (config, folder) = parse(LEAST);
    let config = config.unwrap();
    let state = folder.path().join("smcp-state");
    assert_eq!(config.state_folder, state);
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:8787");
    assert!(config.listen.public_url.is_none() && config.listen.tls.is_none() && !config.listen.behind_tls_proxy);
    assert!(config.listen.allowed_origins.is_empty() && config.listen.trusted_proxies.is_empty());
    let operator = config.operator.unwrap();
    assert_eq!(operator.address.to_string(), "127.0.0.1:8788");
    assert_eq!(operator.token_file, state.join("operator.token"));
    assert_eq!((config.limits.body_size, config.limits.header_size), (4 << 20, 32 << 10));
    assert_eq!(config.freshness_window, 30);
    assert_eq!(config.replay, ReplayConfig { capacity: 500_000, per_session: 50_000 });
    assert_eq!(config.session.store, SessionStoreConfig::File(state.join("sessions.redb")));
    assert_eq!((config.session.token_ttl, config.session.token_leeway), (Duration::from_secs(3600), 0));
    assert_eq!((config.token.issuer.as_str(), config.token.audience), ("smcp-gateway", None));
    assert!(!config.token.compat_ctx_claim);
    assert!(matches!(config.attestation.verifier, VerifierConfig::AllowAll) && !config.attestation.require_proof);
    assert_eq!((config.attestation.failures_per_source, config.attestation.successes_per_workload), (30, 30));
    assert_eq!(
        (config.signing.key_file, config.signing.overlap),
        (state.join("signing.key"), Duration::from_secs(86_400))
    );
    assert_eq!((config.audit.file, config.audit.key_file), (state.join("audit.jsonl"), state.join("audit.key")));
    assert!(config.audit.required && config.audit.evidence.is_none());
    assert_eq!((config.audit.sync, config.audit.checkpoint_interval), (SyncPolicy::Checkpoint, Duration::from_secs(1)));
    assert!(config.legacy.is_none() && config.seal.enabled && config.upstreams.is_empty());
    assert_eq!((config.log.level.name(), config.log.format), ("info", LogFormat::Text));
    assert_eq!(
        config.warnings,
        [
            "gw.yaml:3:25: `attestation.verifier`: `allow_all` believes every workload id; for development only",
            "gw.yaml:1:1: `grants` gives no workload any context, so that no agent can attest",
            "gw.yaml:1:1: `upstreams` names no tool server, so that there is no tool to call",
        ]
    );
}

#[test]
fn names_url_and_hosts_of_the_listener() {
    let bound = "127.0.0.1:4321".parse().unwrap();
    let plain = load(LEAST).listen;
    assert_eq!(plain.url(bound), "http://127.0.0.1:4321");
    let accepts = |listen: &ListenConfig, host: &str| listen.hosts(bound).iter().any(|known| known.matches(host));
    for (host, accepted) in [
        ("127.0.0.1:4321", true),
        ("localhost:4321", true),
        ("LOCALHOST:4321", true),
        ("localhost", false),
        ("localhost:80", false),
        ("evil.example:4321", false),
    ] {
        assert_eq!(accepts(&plain, host), accepted, "{host}");
    }
    let public =
        load(&with("public_url: https://Gateway.example.org/smcp/\nallowed_origins: ['HTTPS://a.example:443/']"));
    assert_eq!(public.listen.url(bound), "https://gateway.example.org/smcp");
    assert!(accepts(&public.listen, "gateway.example.org") && accepts(&public.listen, "localhost:4321"));
    assert_eq!(public.listen.allowed_origins, ["https://a.example"]);
    let listed = load(&with("allowed_hosts: ['x.example', '[::1]:1']")).listen;
    assert!(accepts(&listed, "x.example:9") && accepts(&listed, "[::1]:1") && !accepts(&listed, "localhost:4321"));
    let tls = load(&with("tls: {cert: public.pem, key: private.key}")).listen;
    assert_eq!(tls.url("[::1]:443".parse().unwrap()), "https://[::1]:443");
}

#[test]
fn secrets_do_not_show() {
    let text =
        with_verifier("{static: {workloads: [{id: a, secret: 0123456789abcdefSECRET}, {id: b, secret_file: secret}]}}")
            + "upstreams:\n  - {name: h, http: {url: 'https://x.example', headers: {X-Key: SECRET}}}\n\
           \x20 - {name: s, stdio: {command: s, env: {KEY: SECRET, OTHER: {file: secret}}}}\n";
    let config = load(&text);
    let shown = format!("{config:?}");
    assert!(!shown.contains("SECRET") && !shown.contains("0123456789abcdef0123"), "{shown}");
    let VerifierConfig::Static(workloads) = &config.attestation.verifier else { panic!("static") };
    let secrets: Vec<_> = workloads.iter().map(|workload| workload.secret.as_ref().unwrap().expose()).collect();
    assert_eq!(secrets, ["0123456789abcdefSECRET", "0123456789abcdef0123456789abcdef"]);
    let TransportConfig::Stdio(stdio) = &config.upstreams[1].transport else { panic!("stdio") };
    assert_eq!(stdio.env["OTHER"], "0123456789abcdef0123456789abcdef");
}

#[test]
fn warns_of_secrets_others_can_read() {
    let folder = folder();
    let path = folder.path().join("gw.yaml");
    let write = |secret: &str, mode: u32| {
        let verifier = format!("{{static: {{workloads: [{{id: a, {secret}}}]}}}}");
        fs::write(&path, with_verifier(&verifier) + "grants: {a: [read]}\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        Config::load(&path).unwrap().warnings.iter().filter(|warning| warning.contains("chmod")).count()
    };
    assert_eq!(write("secret: 0123456789abcdef0123456789", 0o644), 1);
    assert_eq!(write("secret: 0123456789abcdef0123456789", 0o640), 0);
    assert_eq!(write("secret_file: secret", 0o644), 0);
}

#[test]
fn warns_of_workloads_anybody_can_claim() {
    let exposed = "listen: 0.0.0.0:1\nbehind_tls_proxy: true\n";
    let bare = with_verifier("{static: {workloads: [{id: a}]}}");
    let warned = |text: &str| load(text).warnings.iter().any(|warning| warning.contains("whoever knows its id"));
    assert!(warned(&format!("{bare}{exposed}")));
    assert!(!warned(&bare));
    let mutual = "listen: 0.0.0.0:1\ntls: {cert: public.pem, key: private.key, client_ca: public.pem}\n";
    assert!(!warned(&format!("{bare}{mutual}")));
    let keyed = with_verifier("{static: {workloads: [{id: a, secret_file: secret}]}}");
    assert!(!warned(&format!("{keyed}{exposed}")));
}

#[test]
fn one_configuration_in_three_syntaxes() {
    let folder = folder();
    let json = r#"{"contexts": {"inline": [{"name": "read", "capabilities": []}]}, "grants": {"a": ["read"]},
        "attestation": {"verifier": {"static": {"workloads": [{"id": "a"}]}}},
        "signing": {"retired": [{"key_file": "private.key", "retired_at": "2026-02-17T00:00:00Z"}]}}"#;
    let toml = "grants.a = ['read']\n[[contexts.inline]]\nname = 'read'\ncapabilities = []\n\
                [[attestation.verifier.static.workloads]]\nid = 'a'\n\
                [[signing.retired]]\nkey_file = 'private.key'\nretired_at = 2026-02-17T00:00:00Z\n";
    let mut digests = Vec::new();
    for (text, syntax) in [(json, Syntax::Json), (json, Syntax::Yaml), (toml, Syntax::Toml)] {
        let config = Config::parse(text, syntax, "gw", folder.path()).unwrap();
        assert!(config.grants.allows("a", "read"));
        assert_eq!(config.signing.retired[0].retired_at.seconds(), 1_771_286_400);
        digests.push(config.digest);
    }
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0], digests[2]);
}

#[test]
fn the_digest_follows_contexts_in_other_files() {
    let folder = folder();
    fs::create_dir(folder.path().join("contexts")).unwrap();
    let digest = |context: &str| {
        fs::write(folder.path().join("contexts/a.yaml"), context).unwrap();
        Config::parse("attestation: {verifier: allow_all}\n", Syntax::Yaml, "gw", folder.path()).unwrap().digest
    };
    let first = digest("name: a\ncapabilities: []\n");
    assert_ne!(first, [0; 32]);
    assert_eq!(first, digest("name: a\ndescription: words\ncapabilities: []\n"));
    assert_ne!(first, digest("name: a\ncapabilities: []\ndeny_list: [x]\n"));
}

#[test]
fn the_embedded_defaults_serve_one_folder_on_loopback() {
    let folder = folder();
    let root = folder.path().join("root");
    let config = Config::embedded(&root, &folder.path().join("state")).unwrap();
    assert_eq!(config.listen.address.to_string(), "127.0.0.1:0");
    assert_eq!(config.operator.unwrap().address.to_string(), "127.0.0.1:0");
    assert_eq!(config.state_folder, folder.path().join("state"));
    assert!(config.grants.allows("any-agent", "read-only-files"));
    let TransportConfig::Filesystem(files) = &config.upstreams[0].transport else { panic!("filesystem") };
    assert_eq!((files.roots.clone(), files.writable), (vec![root.clone()], false));
    let context = config.contexts.get("read-only-files").unwrap();
    let allowed = context.capabilities[0].path_allowlist.as_ref().unwrap();
    assert_eq!(allowed[0].text(), root.to_str().unwrap());

    let odd = folder.path().join("a \"b\" \\ é: #c");
    fs::create_dir(&odd).unwrap();
    Config::embedded(&odd, &folder.path().join("state")).unwrap();
    let absent = Config::embedded(&folder.path().join("absent"), folder.path()).unwrap_err();
    assert!(absent.message().contains("no such file or folder"), "{absent}");
    let star = Config::embedded(&folder.path().join("a*"), folder.path()).unwrap_err();
    assert!(star.message().ends_with("`*` and `?` in a path would be read as a pattern"), "{star}");
}
