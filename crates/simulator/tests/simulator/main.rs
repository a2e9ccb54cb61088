//! The simulator over real HTTP.

mod book;
mod callbacks;
mod faults;
mod inbound;
mod listing;
mod media;
mod messages;
mod model;
mod receiver;
mod telephone;
mod world;
