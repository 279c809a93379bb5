//! The file system over a real (local) Hub, without NFS: what each operation promises, what the Hub has
//! afterwards, what a crash leaves.

mod names;
mod recovery;
mod remote;
mod rig;
mod saving;
