//! `make bench`: canonical form, sign, verify, token and policy of the core, first by criterion, then as a table of ratios to
//! raw Ed25519 over the same bytes in the same rounds.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};
use ed25519_dalek::Signer as _;
use smcp_benches::{Case, Input, NOW, Row, contexts, inputs, print_table, run_rounds, token_signer};
use smcp_core::json::{self, KeyOrder};
use smcp_core::keys::{KeyMaterial, KeySet, TokenKey};
use smcp_core::policy::{RateAnswer, SecurityContext, ToolCall, decide};
use smcp_core::smcp::send::compose_envelope;
use smcp_core::smcp::token::{TokenRules, TokenVerifier};
use smcp_core::smcp::{Dialect, VerifyRules, verify_envelope};

fn main() {
    let inputs = inputs();
    let contexts = contexts();
    let mut criterion = Criterion::default()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_millis(1000))
        .configure_from_args();
    for input in &inputs {
        bench_envelope(&mut criterion, input);
    }
    bench_token(&mut criterion, &inputs[0]);
    for (name, context) in &contexts {
        bench_policy(&mut criterion, name, context, &inputs[0]);
    }
    criterion.final_summary();

    let columns: Vec<(&str, Vec<Row>)> =
        inputs.iter().map(|input| (input.name, run_rounds(envelope_cases(input)))).collect();
    print_table("ratio to raw Ed25519 over the same message (sign: to raw sign)", &columns);
    print_table(
        "token, ratio to raw verify_strict of its signing input",
        &[("408 B token", run_rounds(token_cases(&inputs[0])))],
    );
    let rows = contexts.iter().map(|(name, context)| (*name, run_rounds(policy_cases(context, &inputs[0]))));
    print_table("policy by number of capabilities, ratio to raw verify_strict", &rows.collect::<Vec<_>>());
}

fn bench_envelope(criterion: &mut Criterion, input: &Input) {
    let mut group = criterion.benchmark_group("envelope");
    group.throughput(Throughput::Bytes(input.own_wire.len() as u64));
    for mut case in envelope_cases(input) {
        group.bench_function(BenchmarkId::new(&case.name, input.name), |bencher| bencher.iter(&mut case.operation));
    }
    group.finish();
}

fn bench_token(criterion: &mut Criterion, input: &Input) {
    let mut group = criterion.benchmark_group("token");
    for mut case in token_cases(input) {
        group.bench_function(&case.name, |bencher| bencher.iter(&mut case.operation));
    }
    group.finish();
}

fn bench_policy(criterion: &mut Criterion, name: &str, context: &SecurityContext, input: &Input) {
    let mut group = criterion.benchmark_group("policy");
    for mut case in policy_cases(context, input) {
        group.bench_function(BenchmarkId::new(&case.name, name), |bencher| bencher.iter(&mut case.operation));
    }
    group.finish();
}

fn envelope_cases(input: &Input) -> Vec<Case<'_>> {
    const VERIFY: &str = "raw verify_strict";
    const SIGN: &str = "raw sign";
    let public = input.raw_key.verifying_key();
    let rules = VerifyRules::default();
    let canonicalise = |wire: &[u8]| {
        let document = json::scan(black_box(wire)).expect("strict JSON");
        black_box(json::write_canonical(document.root(), KeyOrder::CodePoint));
    };
    let verify = move |wire: &[u8]| {
        black_box(verify_envelope(black_box(wire), input.key.public(), &rules, NOW).expect("it verifies"));
    };
    vec![
        Case::new(VERIFY, VERIFY, move || {
            public.verify_strict(black_box(&input.message), &input.raw_signature).expect("it verifies");
        }),
        Case::new(SIGN, SIGN, || {
            black_box(input.raw_key.sign(black_box(&input.message)));
        }),
        Case::new("canonical, our wire", VERIFY, move || canonicalise(&input.own_wire)),
        Case::new("canonical, Python's wire", VERIFY, move || canonicalise(&input.spaced_wire)),
        Case::new("verify, our wire", VERIFY, move || verify(&input.own_wire)),
        Case::new("verify, Python's wire", VERIFY, move || verify(&input.spaced_wire)),
        Case::new("compose and sign", SIGN, || {
            let wire = compose_envelope(black_box(&input.payload), &input.token, Dialect::Smcp, &input.key, NOW);
            black_box(wire.expect("an envelope"));
        }),
    ]
}

fn token_cases(input: &Input) -> Vec<Case<'_>> {
    const VERIFY: &str = "raw verify_strict";
    let signer = token_signer();
    let verifier = |cache_capacity: usize| {
        let keys = KeySet::new(vec![TokenKey::new(None, KeyMaterial::Ed25519(*signer.1.public()))]).expect("a key set");
        TokenVerifier::new(keys, TokenRules { cache_capacity, ..TokenRules::default() }).expect("a verifier")
    };
    let (miss, hit) = (verifier(0), verifier(1024));
    let (message, signature) = input.token.rsplit_once('.').expect("three parts");
    let signature = smcp_core::keys::decode_base64url(signature).and_then(|bytes| bytes.try_into().ok());
    let signature = ed25519_dalek::Signature::from_bytes(&signature.expect("64 bytes"));
    let public = ed25519_dalek::VerifyingKey::from_bytes(signer.1.public().as_bytes()).expect("a key");
    vec![
        Case::new(VERIFY, VERIFY, move || {
            public.verify_strict(black_box(message.as_bytes()), &signature).expect("it verifies");
        }),
        Case::new("verify, not cached", VERIFY, move || {
            black_box(miss.verify(black_box(&input.token), NOW).expect("it verifies"));
        }),
        Case::new("verify, cached", VERIFY, move || {
            black_box(hit.verify(black_box(&input.token), NOW).expect("it verifies"));
        }),
    ]
}

fn policy_cases<'a>(context: &'a SecurityContext, input: &'a Input) -> Vec<Case<'a>> {
    const VERIFY: &str = "raw verify_strict";
    let public = input.raw_key.verifying_key();
    let document = json::scan(&input.payload).expect("strict JSON");
    vec![
        Case::new(VERIFY, VERIFY, move || {
            public.verify_strict(black_box(&input.message), &input.raw_signature).expect("it verifies");
        }),
        Case::new("decide, the last one allows", VERIFY, move || {
            let arguments = document.root().get("params").and_then(|params| params.get("arguments"));
            let call = ToolCall { tool: black_box("tool-9"), arguments };
            let decision = decide(context, &call, None, &mut |_, _| Ok(RateAnswer::Charged)).expect("a decision");
            assert!(decision.violation().is_none());
        }),
    ]
}
