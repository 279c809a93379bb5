//! Mounts, unmounts and lists BucketBar's own loopback NFS mounts.
//!
//! Everything that decides (options, which mounts are ours, whether a folder will do, who blocks) is a
//! pure function with tests; what touches the system is thin. Whatever could hang on a dead mount runs
//! in a child process or on a thread of its own, with a deadline: the caller always gets an answer
//! (design.md promise 16).

#![forbid(unsafe_code)]

mod attempts;
mod blockers;
mod command;
mod deadline;
mod error;
mod helper_client;
mod liveness;
mod mount;
mod mount_point;
mod registration;
mod table;
mod unmount;
mod volume;

pub use attempts::{Attempt, Facts, Plan, cure, default_folder, plan};
pub use blockers::{Blocker, blockers};
pub use error::{MountError, Reason, Result};
pub use helper::protocol::Token;
pub use helper::table::OwnMount;
pub use helper::{Os, Source, VolumeName, mount_options};
pub use helper_client::{HelperClient, HelperState, Unanswered};
pub use liveness::is_served;
pub use mount::{check_permission, mount};
pub use mount_point::{check_mount_point, make_mount_point, normalize, remove_mount_point};
pub use registration::{Registration, Step, judge, step_at_start, step_when_asked};
pub use table::own_mounts;
pub use unmount::{Force, unmount};
pub use volume::{Mounted, Wanted, is_volume, mount_somewhere, unmount_anywhere, volumes_folder};
