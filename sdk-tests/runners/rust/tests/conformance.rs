//! Every vector file of `sdk-tests/vectors`, one test for each, so that a failure names its file.

use std::path::Path;

fn run(name: &str) {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors"));
    let (_, check) = smcp_sdk_tests::FILES.iter().find(|(file, _)| *file == name).expect("a known file");
    let report = smcp_sdk_tests::run_file(folder, name, *check);
    assert!(report.failures.is_empty(), "{} failures\n{}", report.failures.len(), report.failures.join("\n"));
    assert!(report.run > 0);
}

macro_rules! files {
    ($($test:ident: $file:literal,)+) => {
        $(#[test] fn $test() { run($file); })+

        /// A file the runner knows but no test runs would pass unseen.
        #[test]
        fn every_file_has_a_test() {
            let tested = [$($file),+];
            assert!(smcp_sdk_tests::FILES.iter().all(|(name, _)| tested.contains(name)));
            assert_eq!(smcp_sdk_tests::FILES.len(), tested.len());
        }
    };
}

files! {
    smcp_keys: "smcp-keys.json",
    smcp_envelopes_py: "smcp-envelopes-py.json",
    smcp_envelopes_ts: "smcp-envelopes-ts.json",
    smcp_divergence: "smcp-divergence.json",
    smcp_native_values: "smcp-native-values.json",
    smcp_rfc_examples: "smcp-rfc-examples.json",
    smcp_envelope_checks: "smcp-envelope-checks.json",
    smcp_ed25519_edge: "smcp-ed25519-edge.json",
    jwt: "jwt.json",
    smcp_gateway: "smcp-gateway.json",
    policy: "policy.json",
}
