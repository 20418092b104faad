//! Act 8: the time each step takes.

use std::time::Instant;

use super::super::failure::{Failure, Outcome};
use super::agent::Answer;
use super::narrator::Narrator;
use super::world::{Tool, World};
use crate::clock;
use crate::pipeline::Step;

/// Calls before the one that is shown, so that connections and caches are warm.
const WARM_UP: usize = 20;

/// The steps of the pipeline as section 5 numbers them.
const STEPS: [(&str, Step); 8] = [
    ("1    parse", Step::Parse),
    ("2-3  time, token", Step::Open),
    ("4-5  session, signed", Step::Verify),
    ("6    replay", Step::Admit),
    ("7    policy", Step::Authorize),
    ("8    audit record", Step::Audit),
    ("9    tool server", Step::Forward),
    ("10   audit outcome", Step::Outcome),
];

/// Milliseconds of each step of one call, and of the call as the agent sees it.
pub(super) struct Timings {
    steps: Vec<(&'static str, f64)>,
    whole: f64,
}

/// Measures while the gateway still runs.
pub(super) async fn measure(world: &World) -> Outcome<Timings> {
    let record = world.client.record().ok_or_else(|| Failure::check("the agent has no session"))?;
    let (tool, file) = (world.tool(Tool::Read)?, world.file("readme.txt"));
    let mut timings = None;
    for _ in 0..=WARM_UP {
        let started = Instant::now();
        let envelope = world.wire.envelope(&record, tool, &file, clock::now())?;
        let answer = world.wire.send(&envelope).await?;
        let whole = started.elapsed().as_secs_f64() * 1000.0;
        timings = Some(read(&answer, whole)?);
    }
    timings.ok_or_else(|| Failure::check("nothing was measured"))
}

fn read(answer: &Answer, whole: f64) -> Outcome<Timings> {
    let header = answer.server_timing.as_deref().unwrap_or_default();
    if answer.status != 200 {
        return Err(Failure::check(format!("a call that is measured was answered HTTP {}", answer.status)));
    }
    let find = |step: Step| -> Option<f64> {
        let entry = header.split(", ").find(|entry| entry.split(';').next() == Some(step.name()))?;
        entry.split_once(";dur=")?.1.parse().ok()
    };
    let mut steps = Vec::with_capacity(STEPS.len());
    for (title, step) in STEPS {
        let millis = find(step);
        steps.push((
            title,
            millis.ok_or_else(|| Failure::check(format!("the answer has no time of step `{}`", step.name())))?,
        ));
    }
    Ok(Timings { steps, whole })
}

pub(super) fn play(timings: &Timings, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("The ten steps of one call, in milliseconds")?;
    for (title, millis) in &timings.steps {
        narrator.fact(title, format_args!("{millis:>8.3}"))?;
    }
    let sum: f64 = timings.steps.iter().map(|(_, millis)| millis).sum();
    narrator.fact("gateway", format_args!("{sum:>8.3}"))?;
    narrator.fact("agent, with signing", format_args!("{:>8.3}", timings.whole))?;
    narrator.check("steps", sum > 0.0 && sum <= timings.whole, "all steps are timed, within the time the agent waited")
}
