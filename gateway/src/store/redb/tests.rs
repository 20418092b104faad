use std::os::unix::fs::PermissionsExt as _;

use smcp_core::keys::AgentKey;
use smcp_core::policy::ToolPattern;
use smcp_core::session::SessionState;
use smcp_core::smcp::Dialect;

use super::*;

fn at(seconds: i64) -> UnixTime {
    UnixTime::from_seconds(seconds)
}

fn key(seed: u8) -> PublicKey {
    *AgentKey::derive_from_slice(&[seed; 32]).unwrap().public()
}

/// A session of workload `w-ID`, opened at 100 and expired from 200 on.
fn session(id: &str, seed: u8) -> Session {
    Session {
        id: id.to_owned(),
        agent_id: format!("agent-{id}"),
        workload_id: format!("w-{id}"),
        context: "context".to_owned(),
        key: key(seed),
        dialect: Dialect::Seal,
        opened_at: at(100),
        expires_at: at(200),
        state: SessionState::Live,
        execution_id: Some("run \"7\"".to_owned()),
        tenant_id: None,
        allowed_tools: Some(Arc::from([ToolPattern::parse("fs.*").unwrap()])),
    }
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("sessions.redb")
    }

    fn open(&self) -> RedbSessionStore {
        RedbSessionStore::open(&self.path(), 10, at(100)).unwrap()
    }

    fn refused(&self) -> String {
        let error = RedbSessionStore::open(&self.path(), 10, at(100)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        error.message().to_owned()
    }
}

fn found(store: &RedbSessionStore, id: &str) -> Option<Session> {
    match store.find(id, at(150)).unwrap() {
        SessionAnswer::Found(session) => Some(Session::clone(&session)),
        SessionAnswer::NotFound => None,
        SessionAnswer::Ambiguous => panic!("ids are unique"),
    }
}

#[test]
fn refuses_files_that_are_not_a_store_of_ours() {
    for content in [&b"not a database"[..], &[0; 4096], &[0xFF; 100_000]] {
        let place = Place::new();
        crate::private_file::create_private(&place.path(), content).unwrap();
        assert!(place.refused().contains("is corrupted"), "{}", place.refused());
        assert_eq!(std::fs::read(place.path()).unwrap(), content, "a refused file is left alone");
    }
    let place = Place::new();
    drop(place.open());
    let mode = std::fs::metadata(place.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    std::fs::set_permissions(place.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(place.refused().contains("open to group or others"));
    let other = Place::new();
    std::os::unix::fs::symlink(place.path(), other.path()).unwrap();
    assert!(other.refused().contains("symbolic link"));
}

#[test]
fn one_process_at_a_time() {
    let place = Place::new();
    let store = place.open();
    assert!(place.refused().contains("in use"));
    drop(store);
    place.open();
}

#[test]
fn refuses_records_that_are_broken_or_of_another_format() {
    type Change = fn(&WriteTransaction);
    let changes: [(Change, &str); 5] = [
        (|transaction| drop(transaction.open_table(META).unwrap().insert("format", 2)), "format `2` is not `1`"),
        (|transaction| drop(transaction.open_table(SESSIONS).unwrap().insert("x", &b"{}"[..])), "missing or no text"),
        (
            |transaction| {
                let record = write_session(&session("a", 1));
                transaction.open_table(SESSIONS).unwrap().insert("b", record.as_slice()).map(drop).unwrap();
            },
            "another id than its place",
        ),
        (|transaction| drop(transaction.open_table(BLOCKS).unwrap().insert("x", &b"[]"[..])), "missing or no text"),
        (
            |transaction| {
                let record = br#"{"keys":[],"workload":"x"}"#;
                transaction.open_table(BLOCKS).unwrap().insert("x", &record[..]).map(drop).unwrap();
            },
            "a block has no keys",
        ),
    ];
    for (change, reason) in changes {
        let place = Place::new();
        drop(place.open());
        let database = Database::open(place.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&transaction);
        transaction.commit().unwrap();
        drop(database);
        let message = place.refused();
        assert!(message.contains("is corrupted") && message.contains(reason), "{message}");
    }
}

#[test]
fn damage_is_refused_or_harmless_and_never_brings_back_a_revoked_session() {
    let place = Place::new();
    {
        let store = place.open();
        store.open(session("a", 1), at(100)).unwrap();
        store.open(session("b", 2), at(100)).unwrap();
        store.flush().unwrap();
        store.revoke("a", Some(Block::UntilLifted), at(100)).unwrap();
    }
    let sound = std::fs::read(place.path()).unwrap();
    let used: Vec<usize> = (0..sound.len()).filter(|index| sound[*index] != 0).collect();
    let step = used.len().div_ceil(400);
    let (mut refused, mut harmless) = (0, 0);
    for index in used.into_iter().step_by(step) {
        let mut damaged = sound.clone();
        damaged[index] ^= 0x55;
        std::fs::write(place.path(), &damaged).unwrap();
        match RedbSessionStore::open(&place.path(), 10, at(100)) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
                refused += 1;
            }
            Ok(store) => {
                assert_eq!(found(&store, "a").unwrap().state, SessionState::Revoked, "byte {index}");
                assert!(store.blocked("w-a", &key(1), at(100)).unwrap(), "byte {index}");
                harmless += 1;
            }
        }
    }
    assert!(refused > 20, "{refused} refused, {harmless} harmless");
    for length in [sound.len() / 2, 4096, 100] {
        std::fs::write(place.path(), &sound[..length]).unwrap();
        assert!(place.refused().contains("is corrupted"));
    }
}

#[test]
fn sessions_revocations_and_blocks_survive_a_restart() {
    let place = Place::new();
    {
        let store = place.open();
        for (id, seed) in [("live", 1), ("revoked", 2), ("ended", 3), ("timed", 4)] {
            store.open(session(id, seed), at(100)).unwrap();
        }
        store.revoke("revoked", Some(Block::UntilLifted), at(100)).unwrap().unwrap();
        store.revoke("timed", Some(Block::Until(at(300))), at(100)).unwrap().unwrap();
        store.end("ended", at(100)).unwrap().unwrap();
    }
    let store = place.open();
    assert_eq!(found(&store, "live"), Some(session("live", 1)));
    for (id, state) in
        [("revoked", SessionState::Revoked), ("timed", SessionState::Revoked), ("ended", SessionState::Ended)]
    {
        assert_eq!(found(&store, id).unwrap().state, state);
    }
    assert!(store.blocked("w-revoked", &key(9), at(1000)).unwrap());
    assert!(store.blocked("other", &key(2), at(1000)).unwrap());
    assert!(store.blocked("w-timed", &key(9), at(299)).unwrap());
    assert!(!store.blocked("w-timed", &key(9), at(300)).unwrap());
    assert_eq!(store.live_key_owner(&key(1), at(100)).unwrap().as_deref(), Some("w-live"));
    assert_eq!(store.list(at(100)).unwrap().len(), 4);
    assert!(store.allow("w-revoked").unwrap());
    assert!(!store.allow("w-revoked").unwrap());
    drop(store);
    let store = place.open();
    assert!(!store.blocked("w-revoked", &key(2), at(100)).unwrap());
    assert_eq!(found(&store, "revoked").unwrap().state, SessionState::Revoked, "lifting a block revives no session");
}

#[test]
fn a_revocation_survives_a_crash_right_after_it() {
    let place = Place::new();
    let store = place.open();
    store.open(session("a", 1), at(100)).unwrap();
    store.revoke("a", Some(Block::UntilLifted), at(100)).unwrap();
    store.open(session("b", 2), at(100)).unwrap();
    // What the disk holds at this moment is what a crash would leave.
    let copy = Place::new();
    std::fs::copy(place.path(), copy.path()).unwrap();
    let after = copy.open();
    assert_eq!(found(&after, "a").unwrap().state, SessionState::Revoked);
    assert!(after.blocked("w-a", &key(1), at(100)).unwrap());
    assert_eq!(found(&after, "b"), None, "a session that was not on disk yet is unknown");
    store.expire(at(100)).unwrap();
    std::fs::copy(place.path(), Place::new().path()).unwrap();
    let later = Place::new();
    std::fs::copy(place.path(), later.path()).unwrap();
    assert!(found(&later.open(), "b").is_some());
}

#[test]
fn expired_sessions_are_reported_once_and_leave_the_file() {
    let place = Place::new();
    {
        let store = place.open();
        store.open(session("a", 1), at(100)).unwrap();
        store.open(Session { expires_at: at(300), ..session("b", 2) }, at(100)).unwrap();
    }
    let store = RedbSessionStore::open(&place.path(), 10, at(250)).unwrap();
    let expired: Vec<_> = store.expire(at(250)).unwrap().iter().map(|session| session.id.clone()).collect();
    assert_eq!(expired, ["a"], "a session that expired while nobody ran is reported too");
    drop(store);
    let store = place.open();
    assert_eq!(found(&store, "a"), None);
    assert!(found(&store, "b").is_some());
    assert!(store.expire(at(250)).unwrap().is_empty());
}

#[test]
fn a_smaller_capacity_forgets_sessions_but_never_blocks() {
    let place = Place::new();
    {
        let store = place.open();
        for seed in 0..6 {
            let expires_at = at(200 + i64::from(seed));
            store.open(Session { expires_at, ..session(&seed.to_string(), seed + 1) }, at(100)).unwrap();
        }
        for id in ["4", "5"] {
            store.revoke(id, Some(Block::UntilLifted), at(100)).unwrap();
        }
    }
    let error = RedbSessionStore::open(&place.path(), 1, at(100)).unwrap_err();
    assert!(error.message().contains("more blocks than the capacity of `1`"), "{error}");
    let store = RedbSessionStore::open(&place.path(), 2, at(100)).unwrap();
    assert_eq!((found(&store, "3"), found(&store, "4").is_some(), found(&store, "5").is_some()), (None, true, true));
    drop(store);
    assert_eq!(place.open().list(at(100)).unwrap().len(), 2);
}

#[test]
fn blocks_are_forgotten_a_day_after_their_end() {
    let place = Place::new();
    {
        let store = place.open();
        store.open(session("a", 1), at(100)).unwrap();
        store.revoke("a", Some(Block::Until(at(1000))), at(100)).unwrap();
    }
    let day = 86_400;
    drop(RedbSessionStore::open(&place.path(), 10, at(1000 + day - 1)).unwrap());
    assert!(place.open().blocked("w-a", &key(1), at(999)).unwrap(), "a clock that was ahead lifts nothing");
    drop(RedbSessionStore::open(&place.path(), 10, at(1000 + day)).unwrap());
    assert!(!place.open().blocked("w-a", &key(1), at(999)).unwrap());
}

#[test]
fn a_full_disk_fails_closed_and_is_made_up_for_when_there_is_room_again() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", "store::redb::tests::alone_full_disk"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
#[ignore = "limits the whole process; run by another test"]
async fn alone_full_disk() {
    use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
    use tokio::signal::unix::{SignalKind, signal};

    let _survive = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).unwrap();
    let maximum = getrlimit(Resource::Fsize).maximum;
    let limit =
        |bytes: Option<u64>| setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
    let place = Place::new();
    let store = RedbSessionStore::open(&place.path(), 100_000, at(100)).unwrap();
    store.open(session("early", 1), at(100)).unwrap();
    store.flush().unwrap();
    limit(Some(std::fs::metadata(place.path()).unwrap().len()));
    let mut opened = Vec::new();
    for number in 0..50_000 {
        let mut one = session(&format!("s{number}"), 2);
        one.workload_id = "w".to_owned();
        match store.open(one, at(100)) {
            Ok(()) => opened.push(format!("s{number}")),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InternalError);
                assert_eq!(found(&store, &format!("s{number}")).unwrap().state, SessionState::Revoked);
                break;
            }
        }
    }
    assert!(opened.len() > 100 && opened.len() < 50_000, "{}", opened.len());
    // With less than the file has already, nothing at all can be written.
    limit(Some(4096));
    assert!(store.revoke("early", Some(Block::UntilLifted), at(100)).is_err());
    assert_eq!(found(&store, "early").unwrap().state, SessionState::Revoked, "it is revoked all the same");
    assert!(store.blocked("w-early", &key(1), at(100)).unwrap());
    assert!(store.allow("w-early").is_err());
    assert!(store.blocked("w-early", &key(1), at(100)).unwrap());
    limit(None);
    store.open(session("late", 3), at(100)).unwrap();
    drop(store);
    let store = RedbSessionStore::open(&place.path(), 100_000, at(100)).unwrap();
    assert_eq!(found(&store, "early").unwrap().state, SessionState::Revoked);
    assert!(store.blocked("w-early", &key(1), at(100)).unwrap());
    assert_eq!(found(&store, "late").unwrap().state, SessionState::Live);
    for id in opened {
        assert_eq!(found(&store, &id).unwrap().state, SessionState::Live, "{id}");
    }
}
