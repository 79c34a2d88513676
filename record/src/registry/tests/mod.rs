pub(crate) mod world;

mod bad_behaviour;
mod lifecycle;
