//! Act 6: the session is revoked.

use reqwest::Method;
use smcp_core::ErrorKind;
use smcp_core::json::ObjectWriter;

use super::super::failure::{Failure, Outcome};
use super::agent::{path_argument, refusal_of};
use super::narrator::Narrator;
use super::unexpected;
use super::world::{Tool, WORKLOAD, World, show_time};

pub(super) async fn play(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("The operator revokes the session; the next call and the next attestation are refused")?;
    let record = world.client.record().ok_or_else(|| Failure::check("the agent has no session"))?;
    let id = record.session_id.as_deref().ok_or_else(|| Failure::check("the session has no id"))?;
    narrator.fact("session", id)?;
    narrator.fact("would have ended", show_time(record.expires_at))?;
    let body = ObjectWriter::new().text("session_id", id).finish();
    world.operator.call(Method::POST, "/v1/sessions/revoke", Some(body)).await?;

    let arguments = path_argument(&world.file("readme.txt"));
    let call = refusal_of(world.client.call_tool(world.tool(Tool::Read)?, &arguments).await);
    narrator.refusal("next call", ErrorKind::SessionInactive, call)?;
    let attest = refusal_of(world.client.attest().await);
    narrator.refusal("next attestation", ErrorKind::WorkloadVerificationFailed, attest)?;

    let body = ObjectWriter::new().text("workload_id", WORKLOAD).finish();
    world.operator.call(Method::POST, "/v1/workloads/allow", Some(body)).await?;
    world.client.attest().await.map_err(|error| unexpected("attesting after the block was lifted", &error))?;
    narrator.check("block lifted", true, "the operator lifts the block, and the agent attests anew")
}
