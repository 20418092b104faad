//! `make bench`: canonical form, sign, verify, receive, token and policy of the core, first by criterion, then as a table of ratios to
//! raw Ed25519 over the same bytes in the same rounds.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, Throughput};
use ed25519_dalek::Signer as _;
use smcp_benches::{Case, Input, NOW, Row, contexts, inputs, print_table, run_rounds, token_signer};
use smcp_core::json::{self, KeyOrder, Limits};
use smcp_core::keys::{KeyMaterial, KeySet, TokenKey};
use smcp_core::policy::{RateAnswer, SecurityContext, ToolCall, decide};
use smcp_core::replay::{MemoryReplayStore, ReplayAnswer, ReplayStore as _};
use smcp_core::session::{Session, SessionAnswer, SessionState};
use smcp_core::smcp::receive::{self, ContextEvidence, SessionEvidence};
use smcp_core::smcp::send::compose_envelope;
use smcp_core::smcp::token::{TokenRules, TokenVerifier};
use smcp_core::smcp::{Dialect, EnvelopeRules, PayloadRule, VerifyRules, WireEnvelope, verify_envelope};

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
    let context = Arc::new(contexts[0].1.clone());
    for input in &inputs {
        bench_receive(&mut criterion, input, &context);
    }
    criterion.final_summary();

    let columns: Vec<(&str, Vec<Row>)> =
        inputs.iter().map(|input| (input.name, run_rounds(envelope_cases(input)))).collect();
    print_table("ratio to raw Ed25519 over the same message (sign: to raw sign)", &columns);
    let columns: Vec<(&str, Vec<Row>)> =
        inputs.iter().map(|input| (input.name, run_rounds(receive_cases(input, &context)))).collect();
    print_table("receive, steps 1 to 7 with 10 capabilities, ratio to raw verify_strict", &columns);
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

fn bench_receive(criterion: &mut Criterion, input: &Input, context: &Arc<SecurityContext>) {
    let mut group = criterion.benchmark_group("receive");
    group.throughput(Throughput::Bytes(input.own_wire.len() as u64));
    for mut case in receive_cases(input, context) {
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

/// Steps 1 to 7. The same envelope comes again and again, so the replay store is asked but its answer, which is "seen"
/// from the second time on, is replaced by "new"; an insertion costs what a look-up costs, but for the memory.
fn receive_cases<'a>(input: &'a Input, context: &Arc<SecurityContext>) -> Vec<Case<'a>> {
    const VERIFY: &str = "raw verify_strict";
    let public = input.raw_key.verifying_key();
    let claims = smcp_benches::token_claims(&input.key);
    let session = Arc::new(Session {
        id: claims.session_id.clone().expect("a session id"),
        agent_id: claims.agent_id,
        workload_id: claims.workload_id,
        context: claims.scope,
        key: *input.key.public(),
        dialect: Dialect::Smcp,
        opened_at: NOW,
        expires_at: NOW.plus_seconds(3600),
        state: SessionState::Live,
        execution_id: None,
        tenant_id: None,
        allowed_tools: None,
    });
    let receive = |wire: &'a [u8]| {
        let tokens = token_verifier(1024);
        let replay = MemoryReplayStore::new(1024, 1024, 30, None);
        let (session, context) = (Arc::clone(&session), Arc::clone(context));
        move || {
            let rules = EnvelopeRules {
                limits: Limits::default(),
                dialect: Some(Dialect::Smcp),
                payload: PayloadRule::Forwardable,
            };
            let envelope = WireEnvelope::parse(black_box(wire), &rules).expect("an envelope");
            let opened = receive::open(envelope, &tokens, 30, NOW).expect("fresh, with a token");
            let session = SessionEvidence::Stored(SessionAnswer::Found(Arc::clone(&session)));
            let context = ContextEvidence::Known(Arc::clone(&context));
            let verified = receive::verify(opened, session, context, NOW).expect("signed");
            let seen = replay.check_and_insert(&verified.replay_entry(30), NOW).expect("an answer");
            assert!(matches!(seen, ReplayAnswer::New | ReplayAnswer::Seen));
            let admitted = receive::admit(verified, ReplayAnswer::New, NOW).expect("new");
            let call = receive::authorize(admitted, &mut |_, _| Ok(RateAnswer::Charged)).expect("allowed");
            black_box(&call);
        }
    };
    vec![
        Case::new(VERIFY, VERIFY, move || {
            public.verify_strict(black_box(&input.message), &input.raw_signature).expect("it verifies");
        }),
        Case::new("receive, our wire", VERIFY, receive(&input.own_wire)),
        Case::new("receive, Python's wire", VERIFY, receive(&input.spaced_wire)),
    ]
}

fn token_verifier(cache_capacity: usize) -> TokenVerifier {
    let public = *token_signer().1.public();
    let keys = KeySet::new(vec![TokenKey::new(None, KeyMaterial::Ed25519(public))]).expect("a key set");
    TokenVerifier::new(keys, TokenRules { cache_capacity, ..TokenRules::default() }).expect("a verifier")
}

fn token_cases(input: &Input) -> Vec<Case<'_>> {
    const VERIFY: &str = "raw verify_strict";
    let signer = token_signer();
    let (miss, hit) = (token_verifier(0), token_verifier(1024));
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
