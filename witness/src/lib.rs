//! A witness: signs a log's checkpoint only if it is consistent with every one that it signed before.
//!
//! | Room | Does |
//! |---|---|
//! | [`judge`] | the decision over one request, pure |

pub mod judge;
