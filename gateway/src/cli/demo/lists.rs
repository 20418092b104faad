//! Act 3: `tools/list` shows what the context allows.

use smcp_core::json::{self, Limits, Value};

use super::super::failure::{Failure, Outcome};
use super::narrator::Narrator;
use super::unexpected;
use super::world::{Tool, World};

pub(super) async fn play(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("tools/list shows only what the agent's context allows")?;
    let list = world.client.list_tools().await.map_err(|error| unexpected("tools/list", &error))?;
    let document = json::scan_with(&list, Limits::default())
        .map_err(|error| Failure::check(format!("the list is not strict JSON: {error}")))?;
    let names: Vec<String> = document
        .root()
        .elements()
        .filter_map(|tool| tool.get("name").and_then(Value::as_str).map(std::borrow::Cow::into_owned))
        .collect();
    narrator.fact("shown", names.join(", "))?;
    let hidden: Vec<&str> =
        world.offered.iter().filter(|offered| !names.contains(offered)).map(String::as_str).collect();
    narrator.fact("not shown", hidden.join(", "))?;
    let wanted = [world.tool(Tool::List)?, world.tool(Tool::Read)?, world.tool(Tool::Stat)?];
    let exact = names.len() == wanted.len() && wanted.iter().all(|tool| names.iter().any(|name| name == tool));
    let write = world.tool(Tool::Write)?;
    narrator.check(
        "list",
        exact && hidden.contains(&write),
        format!("{} of {} tools", names.len(), world.offered.len()),
    )
}
