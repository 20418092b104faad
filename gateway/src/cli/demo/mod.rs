//! `smcp demo`: everything at work in eight acts, which check themselves.

mod agent;
mod attests;
mod audited;
mod lists;
mod narrator;
mod place;
mod reads;
mod refused;
mod revoked;
mod starts;
mod timed;
mod words;
mod world;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::ExitStatus;
use super::failure::{Failure, Outcome};
use super::output::Output;
use super::runtime::runtime;
use narrator::Narrator;
use place::Place;
use world::World;

const EXAMPLES: &str = "\
Starts a gateway on a free loopback port with a folder of real files, plays an agent, and shows what is allowed, what is
refused and why, and what the audit log proves. Exit status 1 when anything is not as it should be.

Examples:
  smcp demo
  smcp demo --json
  smcp demo --keep demo                                        keep files, keys and audit log in this folder
  smcp demo --upstream \"npx -y @modelcontextprotocol/server-filesystem DIR\"
                                                               the same with a tool server of other people; DIR stands
                                                               for the demo's folder of files; a folder of yours
                                                               gets a folder of the demo's in it";

/// See everything at work in ten seconds.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub(super) struct Demo {
    /// A filesystem MCP server to use in place of the built-in connector; the word `DIR` stands for the folder
    #[arg(long, value_name = "COMMAND", value_parser = words::split)]
    upstream: Option<words::Words>,

    /// Work in this folder, which must be empty or new, and keep it
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    /// Print the answer as JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Demo {
    pub(super) fn run(&self, output: &Output) -> Outcome<ExitStatus> {
        let place = Place::new(self.keep.as_deref(), self.upstream.as_ref())?;
        let mut narrator = Narrator::new(output, self.json);
        let started = Instant::now();
        let runtime = runtime(4)?;
        let played = runtime.block_on(self.play(&place, &mut narrator));
        runtime.shutdown_background();
        played?;
        narrator.end(started.elapsed(), self.keep.as_deref())
    }

    async fn play(&self, place: &Place, narrator: &mut Narrator<'_>) -> Outcome<()> {
        let mut world = World::start(place, self.upstream.as_ref(), narrator).await?;
        let played = acts(&mut world, narrator).await;
        // The gateway ends in the seventh act; if it was not reached, the tool server must not be left behind.
        world.stop().await;
        played
    }
}

async fn acts(world: &mut World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    attests::play(world, narrator).await?;
    lists::play(world, narrator).await?;
    reads::play(world, narrator).await?;
    refused::play(world, narrator).await?;
    revoked::play(world, narrator).await?;
    let timings = timed::measure(world).await?;
    audited::play(world, narrator).await?;
    timed::play(&timings, narrator)
}

/// A call of the demo that should have worked did not.
fn unexpected(what: &str, error: &smcp_client::ClientError) -> Failure {
    Failure::check(format!("{what} failed: {}: {}", error.kind().name(), error.error().message()))
}
