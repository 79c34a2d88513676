//! `cargo xtask bench`: the measurements of docs/benchmarks.md, one after the other, as a table.
