//! `daybook import`: what others have published already, into a log.
//!
//! | Format | Into an open log | Into a log of records |
//! |---|---|---|
//! | `rsf` | the leaves of the register, so that the log signs the very root that the government published | signed versions with full histories |
//! | `ocds` | - | signed versions: the `ocid` is the key, each release a version |

mod ocds;
mod open;
mod rsf;
mod signed;

use clap::Subcommand;

use super::failure::Failure;
use super::output::Output;

#[derive(Debug, Subcommand)]
pub(super) enum Import {
    /// A register in Register Serialisation Format.
    Rsf(rsf::Rsf),
    /// Open contracting data: release packages.
    Ocds(ocds::Ocds),
}

impl Import {
    pub(super) fn run(self, output: &Output) -> Result<(), Failure> {
        match self {
            Self::Rsf(import) => import.run(output),
            Self::Ocds(import) => import.run(output),
        }
    }
}
