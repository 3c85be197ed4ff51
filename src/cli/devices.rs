//! `exp devices`: what this machine can compute on, what would be chosen, and why.

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Measure each device with a small calculation.
    #[arg(long)]
    pub measure: bool,
}
