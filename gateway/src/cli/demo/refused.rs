//! Act 5: what is refused, each with code and reason.

use std::fs;
use std::sync::Arc;

use smcp_client::EphemeralKey;
use smcp_core::ErrorKind;
use smcp_core::json::ObjectWriter;
use smcp_core::smcp::send::SessionRecord;

use super::super::failure::{Failure, Outcome};
use super::agent::{path_argument, refusal_of};
use super::narrator::Narrator;
use super::world::{COUNTED_CALLS, Tool, World};
use crate::clock;

/// Seconds by which the stale envelope is too old.
const TOO_OLD_SECONDS: i64 = 45;

pub(super) async fn play(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("Refused, each with its code and reason")?;
    by_policy(world, narrator).await?;
    by_protocol(world, narrator).await?;
    by_rate(world, narrator).await
}

async fn by_policy(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    let (read, write) = (world.tool(Tool::Read)?, world.tool(Tool::Write)?);
    let target = world.file("readme.txt");
    let arguments =
        ObjectWriter::new().text("path", &target.display().to_string()).text("content", "overwritten").finish();
    let before = fs::read(&target).ok();
    let denied = refusal_of(world.client.call_tool(write, &arguments).await);
    narrator.refusal("denied tool", ErrorKind::PolicyViolationToolDenied, denied)?;
    if fs::read(&target).ok() != before {
        narrator.check("denied tool", false, "the file was changed all the same")?;
    }

    let outside = refusal_of(world.client.call_tool(read, &path_argument(&world.outside)).await);
    narrator.refusal("path outside", ErrorKind::PolicyViolationPathNotAllowed, outside)?;

    let climbing = world.file("notes/../../outside.txt");
    let climbing = refusal_of(world.client.call_tool(read, &path_argument(&climbing)).await);
    narrator.refusal("path with `..`", ErrorKind::PolicyViolationPathTraversal, climbing)
}

async fn by_protocol(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    let read = world.tool(Tool::Read)?;
    let file = world.file("readme.txt");
    let record = world.client.record().ok_or_else(|| Failure::check("the agent has no session"))?;

    let genuine = world.wire.envelope(&record, read, &file, clock::now())?;
    let tampered = replace(&genuine, b"readme.txt", b"notes/plan")?;
    let answer = world.wire.refused(&tampered).await?;
    narrator.refusal("tampered payload", ErrorKind::InvalidSignature, answer)?;

    let first = world.wire.send(&genuine).await?;
    if first.status != 200 {
        narrator.check("genuine envelope", false, format!("HTTP {}", first.status))?;
    }
    let answer = world.wire.refused(&genuine).await?;
    narrator.refusal("replay", ErrorKind::ReplayDetected, answer)?;

    let stale = world.wire.envelope(&record, read, &file, clock::now().plus_seconds(-TOO_OLD_SECONDS))?;
    let answer = world.wire.refused(&stale).await?;
    narrator.refusal("stale timestamp", ErrorKind::StaleTimestamp, answer)?;

    let thief = EphemeralKey::generate()?;
    let stolen = SessionRecord::provisioned(Arc::new(thief), false, record.token.clone());
    let stolen = world.wire.envelope(&stolen, read, &file, clock::now())?;
    let answer = world.wire.refused(&stolen).await?;
    narrator.refusal("stolen token", ErrorKind::InvalidSignature, answer)
}

async fn by_rate(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    let stat = world.tool(Tool::Stat)?;
    let arguments = path_argument(&world.file("readme.txt"));
    for number in 1..=COUNTED_CALLS {
        if let Err(refusal) = refusal_of(world.client.call_tool(stat, &arguments).await) {
            narrator.check("calls within the rate", false, format!("call {number}: {}", refusal.message))?;
        }
    }
    let over = refusal_of(world.client.call_tool(stat, &arguments).await);
    narrator.refusal("over the rate", ErrorKind::PolicyViolationRateLimitExceeded, over)
}

/// The envelope with one text in place of another of the same length.
fn replace(envelope: &[u8], from: &[u8], to: &[u8]) -> Outcome<Vec<u8>> {
    let place = envelope.windows(from.len()).position(|window| window == from);
    let place = place.ok_or_else(|| Failure::check("the envelope does not hold the path"))?;
    let (before, rest) = envelope.split_at(place);
    let (_, after) = rest.split_at(from.len());
    Ok([before, to, after].concat())
}
