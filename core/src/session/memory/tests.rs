use super::*;
use crate::keys::AgentKey;
use crate::smcp::Dialect;

fn at(second: i64) -> UnixTime {
    UnixTime::from_seconds(second)
}

fn key(number: u8) -> PublicKey {
    *AgentKey::derive_from_slice(&[number; 32]).unwrap().public()
}

/// A session of a workload with a key, opened at 100 and expired from 200 on.
fn session(id: &str, workload: &str, number: u8) -> Session {
    Session {
        id: id.to_owned(),
        agent_id: format!("agent-{id}"),
        workload_id: workload.to_owned(),
        context: "context".to_owned(),
        key: key(number),
        dialect: Dialect::Smcp,
        opened_at: at(100),
        expires_at: at(200),
        state: SessionState::Live,
        execution_id: None,
        tenant_id: None,
        allowed_tools: None,
    }
}

fn state(store: &MemorySessionStore, id: &str) -> Option<SessionState> {
    match store.find(id, at(150)).unwrap() {
        SessionAnswer::Found(session) => Some(session.state),
        SessionAnswer::NotFound => None,
        SessionAnswer::Ambiguous => panic!("ids are unique"),
    }
}

#[test]
fn an_unknown_or_doubled_id_is_refused() {
    let store = MemorySessionStore::new(10);
    assert_eq!(state(&store, "a"), None);
    store.open(session("a", "w", 1), at(100)).unwrap();
    assert_eq!(store.open(session("a", "w", 2), at(100)).unwrap_err().kind(), ErrorKind::InternalError);
    assert_eq!(store.live_key_owner(&key(2), at(100)).unwrap(), None, "nothing of the refused session stays");
    assert_eq!(store.revoke("b", Some(Block::UntilLifted), at(100)).unwrap(), None);
    assert!(!store.blocked("w", &key(1), at(100)).unwrap());
}

#[test]
fn a_full_store_opens_nothing_until_something_has_expired() {
    let store = MemorySessionStore::new(2);
    store.open(session("a", "w", 1), at(100)).unwrap();
    store.open(Session { expires_at: at(300), ..session("b", "w", 2) }, at(100)).unwrap();
    assert_eq!(store.open(session("c", "w", 3), at(199)).unwrap_err().kind(), ErrorKind::Overloaded);
    store.open(session("c", "w", 3), at(200)).unwrap();
    assert_eq!(state(&store, "a"), None);
    let expired =
        |second| store.expire(at(second)).unwrap().iter().map(|session| session.id.clone()).collect::<Vec<_>>();
    assert_eq!(expired(199), ["a"], "what was forgotten for room is still reported, once");
    assert_eq!(expired(300), ["c", "b"]);
    assert!(expired(400).is_empty());
}

#[test]
fn an_agent_id_names_a_session_only_if_it_is_the_only_one() {
    let store = MemorySessionStore::new(10);
    let of_agent =
        |id: &str, expires| Session { agent_id: "agent".to_owned(), expires_at: at(expires), ..session(id, "w", 1) };
    let found = |second| match store.find_by_agent("agent", at(second)).unwrap() {
        SessionAnswer::Found(session) => session.id.clone(),
        SessionAnswer::NotFound => "none".to_owned(),
        SessionAnswer::Ambiguous => "ambiguous".to_owned(),
    };
    assert_eq!(found(100), "none");
    store.open(of_agent("a", 150), at(100)).unwrap();
    store.open(of_agent("b", 200), at(100)).unwrap();
    store.revoke("a", None, at(100)).unwrap();
    assert_eq!(found(149), "ambiguous", "a revoked session counts");
    store.end("b", at(100)).unwrap();
    assert_eq!(found(149), "ambiguous", "an ended session counts");
    assert_eq!(found(150), "b");
    assert_eq!(found(200), "none");
}

#[test]
fn a_revocation_blocks_workload_and_key_until_lifted() {
    let store = MemorySessionStore::new(10);
    store.open(session("a", "w", 1), at(100)).unwrap();
    let before = store.find("a", at(100)).unwrap();
    let revoked = store.revoke("a", Some(Block::UntilLifted), at(110)).unwrap().unwrap();
    assert_eq!(revoked.state, SessionState::Revoked);
    assert!(matches!(before, SessionAnswer::Found(old) if old.state == SessionState::Live), "records do not change");
    for (workload, number, blocked) in [("w", 1, true), ("w", 2, true), ("v", 1, true), ("v", 2, false)] {
        assert_eq!(store.blocked(workload, &key(number), at(9_999_999)).unwrap(), blocked, "{workload} {number}");
        let opened = store.open(session(&format!("{workload}{number}"), workload, number), at(120));
        assert_eq!(opened.is_err(), blocked);
        assert!(opened.is_ok() || opened.unwrap_err().kind() == ErrorKind::WorkloadVerificationFailed);
    }
    assert_eq!(store.blocks(at(120)).unwrap().len(), 1);
    assert!(store.allow("w").unwrap());
    assert!(!store.allow("w").unwrap());
    assert!(!store.blocked("w", &key(1), at(120)).unwrap());
    assert_eq!(state(&store, "a"), Some(SessionState::Revoked));
    store.open(session("b", "w", 1), at(120)).unwrap();
}

#[test]
fn a_block_ends_in_time_and_is_never_shortened() {
    let store = MemorySessionStore::new(10);
    for id in ["a", "b", "c"] {
        store.open(session(id, "w", 1), at(100)).unwrap();
    }
    store.revoke("a", None, at(110)).unwrap();
    assert!(!store.blocked("w", &key(1), at(110)).unwrap());
    store.revoke("a", Some(Block::Until(at(500))), at(110)).unwrap();
    store.revoke("b", Some(Block::Until(at(400))), at(110)).unwrap();
    assert!(store.blocked("w", &key(1), at(499)).unwrap());
    assert!(!store.blocked("w", &key(1), at(500)).unwrap());
    assert!(store.blocked("w", &key(1), at(499)).unwrap(), "a clock set back finds the block again");
    store.revoke("b", Some(Block::UntilLifted), at(110)).unwrap();
    store.revoke("c", Some(Block::Until(at(120))), at(110)).unwrap();
    assert!(store.blocked("w", &key(1), at(9_999_999)).unwrap());
}

#[test]
fn a_revocation_holds_even_without_room_for_its_block() {
    let store = MemorySessionStore::new(2);
    store.open(session("a", "v", 1), at(100)).unwrap();
    store.open(session("b", "w", 2), at(100)).unwrap();
    store.revoke("a", Some(Block::Until(at(150))), at(110)).unwrap();
    store.revoke("b", Some(Block::UntilLifted), at(110)).unwrap();
    store.expire(at(200)).unwrap();
    store.open(Session { expires_at: at(300), ..session("c", "x", 3) }, at(140)).unwrap();
    let store_is_full = store.revoke("c", Some(Block::UntilLifted), at(140)).unwrap_err();
    assert_eq!(store_is_full.kind(), ErrorKind::Overloaded);
    assert_eq!(state(&store, "c"), Some(SessionState::Revoked));
    store.revoke("c", Some(Block::UntilLifted), at(150)).unwrap();
    assert!(store.blocked("x", &key(9), at(150)).unwrap());
    assert!(!store.blocked("v", &key(1), at(120)).unwrap());
}

#[test]
fn a_key_of_a_live_session_belongs_to_its_workload() {
    let store = MemorySessionStore::new(10);
    store.open(session("a", "w", 1), at(100)).unwrap();
    assert_eq!(store.live_key_owner(&key(1), at(199)).unwrap().as_deref(), Some("w"));
    assert_eq!(store.open(session("b", "v", 1), at(199)).unwrap_err().kind(), ErrorKind::KeypairMismatch);
    store.open(session("c", "w", 1), at(199)).unwrap();
    assert_eq!(store.live_key_owner(&key(1), at(200)).unwrap(), None);
    store.open(Session { expires_at: at(300), ..session("b", "v", 1) }, at(200)).unwrap();
    store.end("b", at(200)).unwrap();
    assert_eq!(store.live_key_owner(&key(1), at(200)).unwrap(), None);
}

#[test]
fn an_ended_session_can_be_revoked_and_not_the_other_way_round() {
    let store = MemorySessionStore::new(10);
    store.open(session("a", "w", 1), at(100)).unwrap();
    store.end("a", at(110)).unwrap();
    assert_eq!(state(&store, "a"), Some(SessionState::Ended));
    store.revoke("a", None, at(110)).unwrap();
    store.end("a", at(110)).unwrap();
    assert_eq!(state(&store, "a"), Some(SessionState::Revoked));
    assert_eq!(store.end("b", at(110)).unwrap(), None);
}

#[test]
fn sessions_are_listed_until_they_expire() {
    let store = MemorySessionStore::new(10);
    store.open(Session { expires_at: at(300), ..session("a", "w", 1) }, at(100)).unwrap();
    store.open(session("b", "w", 1), at(100)).unwrap();
    let ids = |second| store.list(at(second)).unwrap().iter().map(|session| session.id.clone()).collect::<Vec<_>>();
    assert_eq!(ids(199), ["b", "a"]);
    assert_eq!(ids(200), ["a"]);
    assert_eq!(ids(199), ["b", "a"], "a clock set back finds what was not forgotten yet");
    store.expire(at(200)).unwrap();
    assert_eq!(ids(199), ["a"]);
}

#[test]
fn of_two_workloads_that_race_for_a_key_one_gets_it() {
    for _ in 0..100 {
        let store = MemorySessionStore::new(10);
        let opened = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for workload in ["v", "w", "x", "y"] {
                let (store, opened) = (&store, &opened);
                scope.spawn(move || {
                    if store.open(session(workload, workload, 1), at(100)).is_ok() {
                        opened.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(opened.into_inner(), 1);
    }
}

#[test]
fn what_was_kept_elsewhere_is_put_back() {
    let store = MemorySessionStore::new(1);
    store.restore(Session { state: SessionState::Revoked, ..session("a", "w", 1) }).unwrap();
    assert_eq!(store.restore(session("b", "w", 1)).unwrap_err().kind(), ErrorKind::Overloaded);
    let record = BlockRecord { workload_id: "w".to_owned(), keys: vec![key(1)], block: Block::UntilLifted };
    store.restore_block(&record, at(100)).unwrap();
    assert_eq!(store.blocks(at(100)).unwrap(), [record]);
    assert_eq!(state(&store, "a"), Some(SessionState::Revoked));
}
