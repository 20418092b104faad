//! Act 1: the gateway starts.

use super::super::failure::Outcome;
use super::narrator::Narrator;
use super::words::Words;
use super::world::World;

pub(super) fn tell(world: &World, upstream: Option<&Words>, narrator: &mut Narrator<'_>) -> Outcome<()> {
    narrator.act("A gateway starts on a free loopback port, in front of a folder of real files")?;
    narrator.fact("url", &world.url)?;
    narrator.fact("folder", world.root.display())?;
    match upstream {
        None => narrator.fact("tool server", "the built-in filesystem connector")?,
        Some(Words(words)) => narrator.fact("tool server", words.join(" "))?,
    }
    narrator.fact("its tools", world.offered.join(", "))
}
