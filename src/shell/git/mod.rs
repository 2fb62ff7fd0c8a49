//! git: the vault, private checkouts, pushes.
//!
//! Each repository has one bare **vault** that belongs to the service; every command that holds a
//! credential runs there. A task works in **private checkouts** that borrow the vault's objects.
//! Agents may do in them what they like: once an agent has been in a checkout, no git process has
//! that repository as its own again. What a run made is taken over as files and objects only
//! ([`Vault::collect`]), under the vault's configuration.
//!
//! git is the real binary, run by one type, [`Git`]: no shell, an empty environment, a time limit,
//! a size limit, and settings that keep a repository from making it execute anything.

mod agent;
mod bare;
mod checkout;
mod collect;
mod command;
mod error;
mod ignored;
mod layout;
mod locks;
mod memory;
mod names;
mod nested;
mod protections;
mod push;
mod refs;
mod remote;
mod subject;
mod vault;
mod write;

#[cfg(test)]
mod tests;

pub use bare::Bare;
pub use collect::{Allow, Collected, Work};
pub use command::{Git, NEEDED};
pub use error::{GitError, keeps_out, no_leave, passes};
pub use names::{Identity, TaskBranch, branch_name, object_id};
pub use push::{Deleted, Expected, Push};
pub use remote::{Auth, Remote};
pub use vault::Vault;
pub use write::{Joined, MergeTree};

pub(crate) use error::printable;
pub(crate) use layout::{Kind, bare as lay_out_bare, blocking, trust};
pub(crate) use refs::plain as plain_ref;
