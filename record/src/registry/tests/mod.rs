pub(crate) mod world;

mod bad_behaviour;
mod lifecycle;
mod properties;
mod vectors;
