//! Every configuration in the documentation and in `examples` loads, and the reference names every key.

use std::collections::BTreeSet;

use smcp_core::settings::read;

use super::*;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn reference() -> String {
    fs::read_to_string(repository().join("docs/gateway-reference.md")).unwrap()
}

/// The YAML blocks of a document.
fn yaml_blocks(document: &str) -> Vec<String> {
    document.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// A folder with the files that the reference's configurations name.
fn reference_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("files")).unwrap();
    fs::create_dir(path("contexts")).unwrap();
    fs::copy(repository().join("examples/contexts/read-only-files.yaml"), path("contexts/read-only-files.yaml"))
        .unwrap();
    let private = ["server.key", "last-year.key", "billing.secret", "time.secret", "search.secret", "search.pem"];
    for name in ["server.pem", "clients.pem", "seal.jwks", "spire.jwks"].into_iter().chain(private) {
        fs::write(path(name), "0123456789abcdef0123456789abcdef\n").unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

#[test]
fn the_configurations_of_the_reference_load() {
    let folder = reference_folder();
    let blocks = yaml_blocks(&reference());
    assert_eq!(blocks.len(), 3);
    for block in &blocks {
        let path = folder.path().join("gateway.yaml");
        fs::write(&path, block).unwrap();
        let config = Config::load(&path).unwrap();
        assert!(!config.upstreams.is_empty() && !config.grants.is_empty());
    }
}

#[test]
fn the_reference_lists_every_key_and_no_other() {
    let reference = reference();
    let listed: BTreeSet<String> = reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(key, _)| key.to_owned())
        .collect();
    let mut used = BTreeSet::new();
    for block in yaml_blocks(&reference) {
        collect(&read(&block, Syntax::Yaml, "reference").unwrap(), "", &mut used);
    }
    let missing: Vec<_> = used.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(&used).collect();
    let top = |key: &str| listed.iter().any(|listed| listed.split(['.', '[']).next() == Some(key));
    assert!(FIELDS.iter().all(|key| top(key)), "a key at the top is not in the tables");
    assert!(missing.is_empty() && unknown.is_empty(), "not in the tables: {missing:?}; not in an example: {unknown:?}");
}

/// The paths of all values, with `NAME` for keys that are names and without what is inside a context.
fn collect(node: &Node, path: &str, paths: &mut BTreeSet<String>) {
    match &node.kind {
        NodeKind::Mapping(entries) if !path.ends_with("inline[]") => {
            // Both are a word or a mapping, and both forms are in the tables.
            if path.ends_with("verifier") || path.ends_with("store") {
                paths.insert(path.to_owned());
            }
            for entry in entries {
                let parent = path.rsplit('.').next().unwrap_or_default();
                let key = if matches!(parent, "grants" | "env" | "headers") { "NAME" } else { entry.key.as_str() };
                let child = if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
                collect(&entry.value, &child, paths);
            }
        }
        NodeKind::List(nodes) if nodes.iter().any(|node| matches!(node.kind, NodeKind::Mapping(_))) => {
            for node in nodes {
                collect(node, &format!("{path}[]"), paths);
            }
        }
        NodeKind::Null
        | NodeKind::Boolean(_)
        | NodeKind::Integer(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_)
        | NodeKind::List(_)
        | NodeKind::Mapping(_) => {
            paths.insert(path.to_owned());
        }
    }
}

#[test]
fn the_example_loads() {
    let config = Config::load(&repository().join("examples/gateway.yaml")).unwrap();
    let names: Vec<_> = config.contexts.iter().map(|context| context.name.to_string()).collect();
    assert_eq!(names, ["code-assistant", "read-only-files", "research"]);
    assert!(config.grants.allows("docs-7", "read-only-files") && !config.grants.allows("docs-7", "research"));
    assert!(matches!(config.attestation.verifier, VerifierConfig::AllowAll));
    let TransportConfig::Filesystem(files) = &config.upstreams[0].transport else { panic!("filesystem") };
    assert_eq!(files.roots, [repository().join("examples/files")]);
    assert_eq!(config.state_folder, repository().join("examples/smcp-state"));
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
}

#[test]
fn the_error_in_the_reference_is_one_of_ours() {
    let text = with("upstreams:\n  - {name: a, call_timout: 5s, stdio: {command: a}}");
    let folder = reference_folder();
    let error = Config::parse(&text, Syntax::Yaml, "gateway.yaml", folder.path()).unwrap_err();
    let (_, message) = error.message().split_once(": ").unwrap();
    assert_eq!(message, "`upstreams[0]`: unknown field `call_timout`; did you mean `call_timeout`?");
    assert!(reference().contains(message));
}
