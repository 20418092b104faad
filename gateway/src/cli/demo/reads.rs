//! Act 4: a file is read.

use std::fs;

use super::super::failure::{Failure, Outcome};
use super::agent::{path_argument, text_of};
use super::narrator::Narrator;
use super::unexpected;
use super::world::{Tool, World};

pub(super) async fn play(world: &World, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("A file is read through a signed call")?;
    let file = world.file("readme.txt");
    let tool = world.tool(Tool::Read)?;
    let result = world.client.call_tool(tool, &path_argument(&file)).await;
    let result = result.map_err(|error| unexpected("reading the file", &error))?;
    let text = text_of(&result).unwrap_or_default();
    narrator.fact("call", format!("{tool} {}", file.display()))?;
    narrator.fact("answer", text.trim_end())?;
    let content = fs::read_to_string(&file).map_err(|error| Failure::check(format!("{}: {error}", file.display())))?;
    narrator.check("content", text.contains(content.trim_end()), "the answer is what the file holds")
}
