//! `daybook-witness adopt`.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::output::{Failure, Output};
use crate::init::adopt;

#[derive(Args, Debug)]
pub(super) struct Adopt {
    /// The witness's directory.
    dir: PathBuf,
    /// Say that nothing was cosigned after this copy was made, and that no other copy runs.
    #[arg(long, required = true)]
    this_is_the_newest_copy: bool,
}

#[derive(Serialize)]
struct Adopted {
    adopted: PathBuf,
}

impl Adopt {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        adopt(&self.dir).map_err(Failure::failed)?;
        let adopted = Adopted { adopted: self.dir };
        output.result(&adopted, || {
            let dir = adopted.adopted.display();
            format!("{dir} is this witness's state from now on. Destroy every other copy of it.")
        });
        Ok(())
    }
}
