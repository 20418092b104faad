//! Act 2: the agent attests.

use super::super::attest::{claim_lines, token_claims};
use super::super::failure::{Failure, Outcome};
use super::narrator::Narrator;
use super::unexpected;
use super::world::{CONTEXT, WORKLOAD, World};

pub(super) async fn play(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("An agent makes a key, attests with its workload's secret and gets a token bound to the key")?;
    let record = world.client.attest().await.map_err(|error| unexpected("the attestation", &error))?;
    let claims = token_claims(&record.token).ok_or_else(|| Failure::check("the token has no claims"))?;
    let claims = claim_lines(&claims);
    for (name, value) in &claims {
        narrator.fact(name, value)?;
    }
    let claim = |wanted: &str| claims.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
    let key = record.signer.public_key()?;
    let bound = claim("cnf").is_some_and(|cnf| cnf.contains(&key.to_base64url()));
    let named = claim("wid") == Some(WORKLOAD) && claim("scp") == Some(CONTEXT);
    narrator.check("claims", bound && named, "the token names workload, context and the agent's own key")
}
