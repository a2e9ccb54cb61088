//! Attachments: links that lead to them for a while, the files behind the links, and how they go.
mod link;
mod purge;
mod serve;
mod thumbnail;

pub(crate) use self::{
    link::Links,
    purge::{purge, purge_until},
    serve::{file, small},
};
