//! What the benchmarks share: inputs of three sizes, contexts of three lengths, and rounds whose ratios do not depend on
//! what else the machine does.

mod inputs;
mod rounds;

pub use inputs::{Input, NOW, SIZES, contexts, inputs, token_claims, token_signer};
pub use rounds::{Case, Row, print_table, run_rounds};
