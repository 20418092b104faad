//! Wrong configurations with their exact messages.

use super::*;

#[test]
fn refuses_outlines() {
    for (text, message) in [
        ("", "gw.yaml:1:1: missing field `contexts`, and there is no folder `DIR/contexts`"),
        ("# nothing\n", "gw.yaml:1:1: missing field `contexts`, and there is no folder `DIR/contexts`"),
        ("[]", "gw.yaml:1:1: expected a mapping, found a list"),
        ("contexts: {}\n", "gw.yaml:1:11: `contexts`: there is no security context, so that no agent could attest"),
        (
            "contexts: {inline: []}\n",
            "gw.yaml:1:11: `contexts`: there is no security context, so that no agent could attest",
        ),
        (
            "contexts: {folder: root}\n",
            "gw.yaml:1:11: `contexts`: there is no security context, so that no agent could attest",
        ),
        ("contexts: {folder: absent}\n", "gw.yaml:1:20: `contexts.folder`: `DIR/absent`: no such file or folder"),
        ("contexts: {folder: public.pem}\n", "gw.yaml:1:20: `contexts.folder`: `DIR/public.pem` is not a folder"),
        (
            "contexts: {folder: ~/contexts}\n",
            "gw.yaml:1:20: `contexts.folder`: `~` is not expanded; write the whole path",
        ),
        ("contexts: contexts\n", "gw.yaml:1:11: `contexts`: expected a mapping, found a string"),
        (
            "contexts:\n  inline:\n    - {name: a, capabilities: [{tool_patern: x}]}\n",
            "gw.yaml:3:33: `contexts.inline[0].capabilities[0]`: unknown field `tool_patern`; did you mean \
             `tool_pattern`?",
        ),
        (
            "contexts:\n  inline:\n    - {name: a, capabilities: []}\n    - {name: a, capabilities: []}\n",
            "gw.yaml:4:14: `contexts.inline[1].name`: there is a context `a` already, at gw.yaml:3:14",
        ),
        ("contexts: {inline: [{name: a, capabilities: []}]}\n", "gw.yaml:1:1: missing field `attestation`"),
        (&with("lissten: 127.0.0.1:1"), "gw.yaml:4:1: unknown field `lissten`; did you mean `listen`?"),
        (&with("grants:"), "gw.yaml:4:1: `grants`: expected a mapping, found nothing (null)"),
        (&with("state_folder: ''"), "gw.yaml:4:15: `state_folder`: is empty"),
    ] {
        assert_eq!(refusal(text), message, "{text}");
    }
}

#[test]
fn refuses_listeners() {
    for (text, message) in [
        (
            "listen: localhost:80",
            "4:9: `listen`: expected an address with a port such as `127.0.0.1:8787`, found `localhost:80`",
        ),
        ("listen: 8787", "4:9: `listen`: expected a string, found a number"),
        (
            "listen: 0.0.0.0:8787",
            "4:9: `listen`: `0.0.0.0:8787` is not loopback: configure `tls`, or set `behind_tls_proxy: true` when a \
             proxy ends TLS",
        ),
        (
            "listen: '[::]:8787'\nbehind_tls_proxy: true",
            "3:25: `attestation.verifier`: `allow_all` believes everybody and is for loopback only, but `listen` is \
             `[::]:8787`",
        ),
        (
            "listen: 0.0.0.0:8787\ntls: {cert: public.pem, key: private.key, client_ca: public.pem}",
            "3:25: `attestation.verifier`: `allow_all` believes everybody and is for loopback only, but `listen` is \
             `0.0.0.0:8787`",
        ),
        ("tls: {cert: public.pem}", "4:6: `tls`: missing field `key`"),
        ("tls: {cert: absent.pem, key: private.key}", "4:13: `tls.cert`: `DIR/absent.pem`: no such file or folder"),
        ("tls: {cert: root, key: private.key}", "4:13: `tls.cert`: `DIR/root` is not a file"),
        (
            "tls: {cert: public.pem, key: readable.key}",
            "4:30: `tls.key`: `DIR/readable.key` can be read by others; `chmod o=` it",
        ),
        (
            "tls: {cert: public.pem, key: private.key, ca: x}",
            "4:43: `tls`: unknown field `ca`; known here: cert, key, client_ca",
        ),
        ("behind_tls_proxy: yes", "4:19: `behind_tls_proxy`: expected `true` or `false`, found a string"),
        (
            "public_url: http://gateway.example.org",
            "4:13: `public_url`: plain `http` is accepted for loopback only; use `https`",
        ),
        ("public_url: ftp://x", "4:13: `public_url`: expected an `https` URL, found `ftp://x`"),
        ("public_url: https://", "4:13: `public_url`: `https://` is not a URL: empty host"),
        ("public_url: https://u@x.example/", "4:13: `public_url`: a URL with user or password is not accepted"),
        ("public_url: https://x.example/?a=1", "4:13: `public_url`: a URL with query or fragment is not accepted"),
        (
            "allowed_origins: ['*']",
            "4:19: `allowed_origins[0]`: `*` is not an origin such as `https://app.example.org`",
        ),
        (
            "allowed_origins: [https://a.example/path]",
            "4:19: `allowed_origins[0]`: `https://a.example/path` is not an origin such as `https://app.example.org`",
        ),
        (
            "allowed_origins: ['null']",
            "4:19: `allowed_origins[0]`: `null` is not an origin such as `https://app.example.org`",
        ),
        (
            "allowed_hosts: []",
            "4:16: `allowed_hosts`: is empty, so that every request would be refused; leave it out for the default",
        ),
        (
            "allowed_hosts: ['*.example.org']",
            "4:17: `allowed_hosts[0]`: `*.example.org` is not a host such as `gateway.example.org` or `10.0.0.1:8787`",
        ),
        (
            "trusted_proxies: [10.0.0.1/8]",
            "4:19: `trusted_proxies[0]`: `10.0.0.1/8` is not an address or a network such as `10.0.0.0/8`",
        ),
        ("operator: {listen: '0.0.0.0:1'}", "4:20: `operator.listen`: the operator API listens on loopback only"),
        (
            "operator: {listen: '127.0.0.1:8787'}",
            "4:20: `operator.listen`: `127.0.0.1:8787` is the address of `listen` already",
        ),
        ("operator: {token: x}", "4:12: `operator`: unknown field `token`; known here: enabled, listen, token_file"),
    ] {
        assert_eq!(refusal(&with(text)), format!("gw.yaml:{message}"), "{text}");
    }
}

#[test]
fn refuses_limits() {
    let second_to_hour = "expected a duration from 1s to 1h such as `30s`";
    for (text, message) in [
        (
            "freshness_window: 61",
            "4:19: `freshness_window`: expected a duration from 1s to 1m such as `30s`, found `61`".to_owned(),
        ),
        (
            "freshness_window: 0",
            "4:19: `freshness_window`: expected a duration from 1s to 1m such as `30s`, found `0`".to_owned(),
        ),
        ("freshness_window: 1500ms", "4:19: `freshness_window`: expected whole seconds".to_owned()),
        (
            "limits: {body_size: 1}",
            "4:21: `limits.body_size`: expected a size from 1 KiB to 256 MiB such as `4 MiB`, found `1`".to_owned(),
        ),
        (
            "limits: {body_size: 4 MB}",
            "4:21: `limits.body_size`: expected a size from 1 KiB to 256 MiB such as `4 MiB`, found `4 MB`".to_owned(),
        ),
        ("limits: {request_timeout: 0}", format!("4:27: `limits.request_timeout`: {second_to_hour}, found `0`")),
        (
            "limits: {request_timeout: true}",
            format!("4:27: `limits.request_timeout`: {second_to_hour}, found a boolean"),
        ),
        (
            "limits: {concurrency: 0}",
            "4:23: `limits.concurrency`: expected a whole number from 1 to 100000, found `0`".to_owned(),
        ),
        (
            "limits: {timeout: 5}",
            "4:10: `limits`: unknown field `timeout`; known here: body_size, header_size, header_timeout, \
             request_timeout, drain_timeout, concurrency, connections"
                .to_owned(),
        ),
        (
            "replay: {capacity: 10, per_session: 11}",
            "4:37: `replay.per_session`: `11` is more than `replay.capacity` (`10`)".to_owned(),
        ),
        (
            "rates: {counters: -1}",
            "4:19: `rates.counters`: expected a whole number from 1 to 100000000, found `-1`".to_owned(),
        ),
        (
            "session: {token_ttl: 25h}",
            "4:22: `session.token_ttl`: expected a duration from 1s to 1d such as `30s`, found `25h`".to_owned(),
        ),
        (
            "session: {token_leeway: 61}",
            "4:25: `session.token_leeway`: expected a duration from 0s to 1m such as `30s`, found `61`".to_owned(),
        ),
        (
            "session: {store: redis}",
            "4:18: `session.store`: expected `memory` or a mapping with `file`, found `redis`".to_owned(),
        ),
        ("session: {store: {}}", "4:18: `session.store`: missing field `file`".to_owned()),
        (
            "mcp: {list_ttl: 61}",
            "4:17: `mcp.list_ttl`: expected a duration from 0s to 1m such as `30s`, found `61`".to_owned(),
        ),
        (
            "log: {level: loud}",
            "4:14: `log.level`: expected `error` or `warn` or `info` or `debug` or `trace`, found `loud`".to_owned(),
        ),
        ("log: {format: xml}", "4:15: `log.format`: expected `text` or `json`, found `xml`".to_owned()),
        ("seal: {enabled: off}", "4:17: `seal.enabled`: expected `true` or `false`, found a string".to_owned()),
        ("seal: false", "4:7: `seal`: expected a mapping, found a boolean".to_owned()),
    ] {
        assert_eq!(refusal(&with(text)), format!("gw.yaml:{message}"), "{text}");
    }
}

#[test]
fn refuses_contexts_nobody_defined() {
    for (text, message) in [
        ("grants: {a: [reed]}", "4:14: `grants.a[0]`: there is no context `reed`; there is `read`"),
        ("grants: {'agent-*': [read, '']}", "4:28: `grants[\"agent-*\"][1]`: is empty"),
        ("grants: {'': [read]}", "4:10: `grants`: has an empty key"),
        ("grants: {a: read}", "4:13: `grants.a`: expected a list of strings, found a string"),
        ("grants: [a]", "4:9: `grants`: expected a mapping, found a list"),
        ("legacy: {required: false, scope: Read}", "4:34: `legacy.scope`: there is no context `Read`; there is `read`"),
        ("legacy: {required: true, scope: x}", "4:33: `legacy.scope`: there is no context `x`; there is `read`"),
        ("legacy: {required: false}", "4:9: `legacy`: missing field `scope`"),
    ] {
        assert_eq!(refusal(&with(text)), format!("gw.yaml:{message}"), "{text}");
    }
    let text = with_verifier("{static: {workloads: [{id: a}]}}")
        + "listen: 0.0.0.0:1\nbehind_tls_proxy: true\nlegacy: {required: false, scope: read}\n";
    assert_eq!(
        refusal(&text),
        "gw.yaml:6:9: `legacy`: plain MCP names no agent, so it needs a loopback `listen` or `tls.client_ca`, but \
         `listen` is `0.0.0.0:1`"
    );
    assert_eq!(
        refusal(&with("behind_tls_proxy: true\nlegacy: {required: false, scope: read}")),
        "gw.yaml:5:9: `legacy`: plain MCP names no agent, so it is not served behind a proxy: leave \
         `behind_tls_proxy` out, or use SMCP"
    );
}

#[test]
fn refuses_attestation() {
    let forms = "expected `allow_all`, or a mapping with `static` or `oidc`";
    for (text, message) in [
        ("allow", format!("3:25: `attestation.verifier`: {forms}, found `allow`")),
        ("[]", format!("3:25: `attestation.verifier`: {forms}")),
        ("{}", "3:25: `attestation.verifier`: expected exactly one of `static` and `oidc`".to_owned()),
        (
            "{static: {workloads: []}}",
            "3:46: `attestation.verifier.static.workloads`: is empty".to_owned(),
        ),
        (
            "{static: {workloads: [{id: ' '}]}}",
            "3:52: `attestation.verifier.static.workloads[0].id`: is blank".to_owned(),
        ),
        (
            "{static: {workloads: [{id: a}, {id: a}]}}",
            "3:61: `attestation.verifier.static.workloads[1].id`: the workload `a` stands here twice".to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, public_key: AAAA}]}}",
            "3:67: `attestation.verifier.static.workloads[0].public_key`: an Ed25519 public key has 32 bytes".to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, secret: hunter2}]}}",
            "3:63: `attestation.verifier.static.workloads[0].secret`: the secret is shorter than 22 characters".to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, secret: '0123456789 0123456789 0123456789'}]}}",
            "3:63: `attestation.verifier.static.workloads[0].secret`: the secret holds characters other than printable \
             ASCII without space"
                .to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, secret: x, secret_file: secret}]}}",
            "3:79: `attestation.verifier.static.workloads[0].secret_file`: stands beside `secret`; give one of them"
                .to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, secret_file: readable.key}]}}",
            "3:68: `attestation.verifier.static.workloads[0].secret_file`: `DIR/readable.key` can be read by others; \
             `chmod o=` it"
                .to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, secret_file: short}]}}",
            "3:68: `attestation.verifier.static.workloads[0].secret_file`: the secret is shorter than 22 characters"
                .to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, secret_file: empty}]}}",
            "3:68: `attestation.verifier.static.workloads[0].secret_file`: `DIR/empty` is empty".to_owned(),
        ),
        (
            "{static: {workloads: [{id: a, secret_file: two-lines}]}}",
            "3:68: `attestation.verifier.static.workloads[0].secret_file`: `DIR/two-lines` holds more than one line"
                .to_owned(),
        ),
        (
            "{oidc: {issuer: i, audience: a, workload_claim: sub}}",
            "3:32: `attestation.verifier.oidc`: expected exactly one of `jwks_file` and `jwks_url`".to_owned(),
        ),
        (
            "{oidc: {issuer: i, audience: a, jwks_file: public.pem}}",
            "3:32: `attestation.verifier.oidc`: missing field `workload_claim`".to_owned(),
        ),
        (
            "{oidc: {issuer: i, audience: a, workload_claim: sub, jwks_url: 'http://idp.example'}}",
            "3:88: `attestation.verifier.oidc.jwks_url`: plain `http` is accepted for loopback only; use `https`"
                .to_owned(),
        ),
        (
            "{oidc: {issuer: i, audience: a, workload_claim: sub, jwks_file: public.pem, ca_file: public.pem}}",
            "3:110: `attestation.verifier.oidc.ca_file`: serves `jwks_url` only".to_owned(),
        ),
        (
            "{oidc: {issuer: i, audience: a, workload_claim: sub, jwks_file: public.pem, algorithms: [HS256]}}",
            "3:114: `attestation.verifier.oidc.algorithms[0]`: expected `RS256` or `ES256` or `EdDSA`, found `HS256`"
                .to_owned(),
        ),
        (
            "{oidc: {issuer: i, audience: a, workload_claim: sub, jwks_file: public.pem, algorithms: []}}",
            "3:113: `attestation.verifier.oidc.algorithms`: is empty".to_owned(),
        ),
    ] {
        assert_eq!(refusal(&with_verifier(text)), format!("gw.yaml:{message}"), "{text}");
    }
    assert_eq!(
        refusal(&with_verifier("allow_all, rate: {per_source: 0}")),
        "gw.yaml:3:55: `attestation.rate.per_source`: expected a whole number from 1 to 1000000, found `0`"
    );
}

#[test]
fn refuses_keys_and_logs() {
    for (text, message) in [
        (
            "signing: {overlap: 30m}",
            "4:20: `signing.overlap`: `30m` is shorter than `session.token_ttl` (`1h`), so tokens would outlive the key \
             that verifies them",
        ),
        (
            "signing: {retired: [{key_file: absent.key, retired_at: '2026-02-17T00:00:00Z'}]}",
            "4:32: `signing.retired[0].key_file`: `DIR/absent.key`: no such file or folder",
        ),
        (
            "signing: {retired: [{key_file: private.key, retired_at: 2026-02-17}]}",
            "4:57: `signing.retired[0].retired_at`: `2026-02-17` is not a time with a zone such as \
             `2026-02-17T14:32:01Z`",
        ),
        (
            "signing: {key_file: private.key, retired: [{key_file: private.key, retired_at: '2026-02-17T00:00:00Z'}]}",
            "4:55: `signing.retired[0].key_file`: is the key that signs now",
        ),
        (
            "signing: {key_file: k}\naudit: {key_file: k}",
            "5:19: `audit.key_file`: signs tokens; the audit log needs a key of its own",
        ),
        ("audit: {evidence: on}", "4:19: `audit.evidence`: expected `off` or `full`, found `on`"),
        ("audit: {evidence_file: e}", "4:24: `audit.evidence_file`: needs `evidence: full`"),
        ("audit: {file: a, evidence: full, evidence_file: a}", "4:49: `audit.evidence_file`: is the log itself"),
        ("audit: {sync: never}", "4:15: `audit.sync`: expected `checkpoint` or `every`, found `never`"),
        (
            "audit: {checkpoint: {interval: 0}}",
            "4:32: `audit.checkpoint.interval`: expected a duration from 10ms to 1h such as `30s`, found `0`",
        ),
        ("issuer: ' '", "4:9: `issuer`: is blank"),
    ] {
        assert_eq!(refusal(&with(text)), format!("gw.yaml:{message}"), "{text}");
    }
}

#[test]
fn refuses_upstreams() {
    let one = "expected exactly one of `filesystem`, `stdio` and `http`";
    for (text, message) in [
        ("{name: a}", format!("5:5: `upstreams[0]`: {one}")),
        ("{name: a, stdio: {command: a}, http: {url: 'https://x'}}", format!("5:5: `upstreams[0]`: {one}")),
        ("{stdio: {command: a}}", "5:5: `upstreams[0]`: missing field `name`".to_owned()),
        (
            "{name: a b, stdio: {command: a}}",
            "5:12: `upstreams[0].name`: `a b` is not up to 64 letters, digits, `-`, `_` and `.`".to_owned(),
        ),
        (
            "{name: a, stdio: {command: a}}\n  - {name: a, stdio: {command: a}}",
            "6:5: `upstreams[1]`: the upstream `a` stands here twice".to_owned(),
        ),
        (
            "{name: a, prefix: 'a b', stdio: {command: a}}",
            "5:23: `upstreams[0].prefix`: `a b` is not up to 64 printable ASCII characters without space".to_owned(),
        ),
        (
            "{name: a, call_timeout: 2m, stdio: {command: a}}",
            "5:29: `upstreams[0].call_timeout`: `2m` is longer than `limits.request_timeout` (`1m`), which would cut the \
             call off"
                .to_owned(),
        ),
        (
            "{name: a, filesystem: {roots: []}}",
            "5:35: `upstreams[0].filesystem.roots`: is empty".to_owned(),
        ),
        (
            "{name: a, filesystem: {roots: [absent]}}",
            "5:36: `upstreams[0].filesystem.roots[0]`: `DIR/absent`: no such file or folder".to_owned(),
        ),
        (
            "{name: a, filesystem: {roots: ['.']}}",
            "5:36: `upstreams[0].filesystem.roots[0]`: holds the gateway's own state folder; choose another root or \
             `state_folder`"
                .to_owned(),
        ),
        (
            "{name: a, filesystem: {roots: [public.pem]}}",
            "5:36: `upstreams[0].filesystem.roots[0]`: `DIR/public.pem` is not a folder".to_owned(),
        ),
        (
            "{name: a, stdio: {command: ./absent}}",
            "5:32: `upstreams[0].stdio.command`: `DIR/./absent`: no such file or folder".to_owned(),
        ),
        (
            "{name: a, stdio: {command: a, args: [1]}}",
            "5:42: `upstreams[0].stdio.args[0]`: expected a string, found a number".to_owned(),
        ),
        (
            "{name: a, stdio: {command: a, env: {'A=B': c}}}",
            "5:40: `upstreams[0].stdio.env`: `A=B` is not a name of a variable".to_owned(),
        ),
        (
            "{name: a, stdio: {command: a, env: {A: 1}}}",
            "5:44: `upstreams[0].stdio.env.A`: expected a string, found a number".to_owned(),
        ),
        (
            "{name: a, http: {url: 'http://tools.example'}}",
            "5:27: `upstreams[0].http.url`: plain `http` is accepted for loopback only; use `https`".to_owned(),
        ),
        (
            "{name: a, http: {url: 'https://x.example', headers: {Host: y}}}",
            "5:57: `upstreams[0].http.headers`: `host` is set by the gateway itself".to_owned(),
        ),
        (
            "{name: a, http: {url: 'https://x.example', headers: {'a b': y}}}",
            "5:57: `upstreams[0].http.headers`: `a b` is not a name of a header".to_owned(),
        ),
        (
            "{name: a, http: {url: 'https://x.example', headers: {X: \"a\\r\\nb\"}}}",
            "5:57: `upstreams[0].http.headers`: the value of `x` holds characters other than printable ASCII".to_owned(),
        ),
        (
            "{name: a, http: {url: 'https://x.example', headers: {X-Key: a, x-key: b}}}",
            "5:57: `upstreams[0].http.headers`: `x-key` stands here twice".to_owned(),
        ),
        (
            "{name: a, http: {url: 'https://x.example', client_cert: readable.key}}",
            "5:61: `upstreams[0].http.client_cert`: `DIR/readable.key` can be read by others; `chmod o=` it".to_owned(),
        ),
    ] {
        let text = with(&format!("upstreams:\n  - {text}"));
        assert_eq!(refusal(&text), format!("gw.yaml:{message}"), "{text}");
    }
}

#[test]
fn refuses_files() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    let refusal = |name: &str| {
        let error = Config::load(&path(name)).unwrap_err();
        error.message().replace(&folder.path().display().to_string(), "DIR")
    };
    assert_eq!(refusal("absent.yaml"), "`DIR/absent.yaml`: no such file or folder");
    assert_eq!(refusal("public.pem"), "`DIR/public.pem`: the name must end with `.yaml`, `.yml`, `.json` or `.toml`");
    assert_eq!(refusal("none"), "`DIR/none`: the name must end with `.yaml`, `.yml`, `.json` or `.toml`");
    fs::create_dir(path("folder.yaml")).unwrap();
    assert_eq!(refusal("folder.yaml"), "`DIR/folder.yaml`: not a file");
    fs::write(path("bytes.yaml"), b"\xff").unwrap();
    assert_eq!(refusal("bytes.yaml"), "`DIR/bytes.yaml`: not UTF-8");
    fs::write(path("large.yaml"), "#".repeat((1 << 20) + 1)).unwrap();
    assert_eq!(refusal("large.yaml"), "`DIR/large.yaml`: larger than 1048576 bytes");
    fs::write(path("two.toml"), "listen = '127.0.0.1:1'\nlisten = '127.0.0.1:2'\n").unwrap();
    assert_eq!(refusal("two.toml"), "DIR/two.toml:2:1: duplicate key `listen`");

    fs::create_dir(path("contexts")).unwrap();
    fs::write(path("contexts/b.json"), "{\"name\": \"a\",\n \"capabilities\": []}").unwrap();
    fs::write(path("contexts/a.yaml"), "name: a\ncapabilities: []\n").unwrap();
    fs::write(path("contexts/.hidden.yaml"), "wrong").unwrap();
    fs::write(path("contexts/notes.txt"), "wrong").unwrap();
    fs::write(path("gw.yaml"), "attestation: {verifier: allow_all}\n").unwrap();
    assert_eq!(
        refusal("gw.yaml"),
        "DIR/contexts/b.json:1:10: `name`: there is a context `a` already, at DIR/contexts/a.yaml:1:7"
    );
    fs::remove_file(path("contexts/b.json")).unwrap();
    let config = Config::load(&path("gw.yaml")).unwrap();
    assert_eq!((config.contexts.len(), config.contexts.get("a").is_some()), (1, true));
}
