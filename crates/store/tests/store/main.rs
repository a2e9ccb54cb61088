//! The store on both databases: every test runs on SQLite and on Postgres.
#![cfg(test)]

mod accounts;
mod billing;
mod callbacks;
mod calls;
mod campaigns;
mod contacts;
mod conversations;
mod errors;
mod finding;
mod fixture;
mod media;
mod messages;
mod owners;
mod prospects;
mod query_plans;
mod seed;
mod tenancy;
