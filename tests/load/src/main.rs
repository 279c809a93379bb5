//! `nfs-load`: one job against one NFSv3 server on this machine; prints its figures as a line of JSON.

#![forbid(unsafe_code)]

mod client;
mod jobs;
mod xdr;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use client::Client;
use jobs::{Load, Part, Spread};

/// A wire-level NFSv3 load generator: many calls in flight on one connection, as a kernel sends them.
#[derive(Parser)]
#[command(name = "nfs-load")]
struct Arguments {
    #[arg(long)]
    port: u16,
    /// Where MOUNT is answered, if elsewhere.
    #[arg(long)]
    mount_port: Option<u16>,
    #[arg(long)]
    export: String,
    #[arg(long, default_value_t = 0)]
    uid: u32,
    /// Calls in flight.
    #[arg(long, default_value_t = 16)]
    depth: usize,
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Writes a file in blocks of 1 MiB of noise, then one COMMIT.
    Write {
        path: String,
        #[arg(long)]
        size: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
        #[arg(long)]
        no_commit: bool,
    },
    /// Writes into a file that is there, in one WRITE, and commits.
    Edit {
        path: String,
        #[arg(long)]
        offset: u64,
        #[arg(long, default_value_t = 1 << 20)]
        size: u64,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Reads a file, or a part, in blocks of 1 MiB.
    Read {
        path: String,
        #[arg(long, default_value_t = 0)]
        offset: u64,
        #[arg(long)]
        length: Option<u64>,
        /// The bytes must be those of `write` with this seed.
        #[arg(long)]
        seed: Option<u64>,
    },
    /// Reads several files beside each other.
    Readers {
        #[arg(required = true)]
        paths: Vec<String>,
    },
    /// GETATTR while a bulk read goes on over the same connection.
    Mixed {
        path: String,
        #[arg(long, default_value_t = 1000)]
        count: u64,
        /// The bulk is a write of noise of this seed.
        #[arg(long)]
        write: Option<u64>,
    },
    /// Reads blocks at random places.
    Random {
        path: String,
        #[arg(long, default_value_t = 1000)]
        count: u64,
        #[arg(long, default_value_t = 4096)]
        block: u32,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Makes small files: CREATE, WRITE, COMMIT.
    Create {
        folder: String,
        #[arg(long, default_value_t = 1000)]
        count: u64,
        #[arg(long, default_value_t = 1024)]
        size: usize,
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Reads what `create` made: LOOKUP, READ.
    Fetch {
        folder: String,
        #[arg(long, default_value_t = 1000)]
        count: u64,
    },
    /// Removes what `create` made.
    Remove {
        folder: String,
        #[arg(long, default_value_t = 1000)]
        count: u64,
    },
    /// Lists everything below a folder with READDIRPLUS.
    List {
        folder: String,
        /// So often, one after the other.
        #[arg(long, default_value_t = 1)]
        times: u64,
    },
    /// LOOKUP and GETATTR of files all over folders, each file once: `FOLDER/000012/001234.bin`.
    Scatter {
        folder: String,
        /// Files there are.
        #[arg(long)]
        files: u64,
        #[arg(long, default_value_t = 1000)]
        per_folder: u64,
        /// So many were touched before.
        #[arg(long, default_value_t = 0)]
        from: u64,
        #[arg(long, default_value_t = 100)]
        count: u64,
    },
    /// LOOKUP again and again.
    Lookup {
        path: String,
        #[arg(long, default_value_t = 1000)]
        count: u64,
    },
    /// GETATTR again and again.
    Getattr {
        path: String,
        #[arg(long, default_value_t = 1000)]
        count: u64,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mount = Client::connect(arguments.mount_port.unwrap_or(arguments.port), arguments.uid).await?;
    let root = mount.mount(&arguments.export).await?;
    drop(mount);
    let client = Client::connect(arguments.port, arguments.uid).await?;
    let load = Load { client, root, depth: arguments.depth.max(1) };
    let figures = match arguments.job {
        Job::Write { path, size, seed, no_commit } => load.write(&path, size, seed, !no_commit).await,
        Job::Edit { path, offset, size, seed } => load.edit(&path, offset, size, seed).await,
        Job::Read { path, offset, length, seed } => load.read(&path, Part { offset, length }, seed).await,
        Job::Readers { paths } => load.readers(&paths).await,
        Job::Mixed { path, count, write } => load.mixed(&path, count, write).await,
        Job::Random { path, count, block, seed } => load.random(&path, count, block, seed).await,
        Job::Create { folder, count, size, seed } => load.create(&folder, count, size, seed).await,
        Job::Fetch { folder, count } => load.fetch(&folder, count).await,
        Job::Lookup { path, count } => load.lookup(&path, count).await,
        Job::Remove { folder, count } => load.remove(&folder, count).await,
        Job::List { folder, times } => load.list(&folder, times).await,
        Job::Scatter { folder, files, per_folder, from, count } => {
            load.scatter(&folder, Spread { files, per_folder }, from..from + count).await
        }
        Job::Getattr { path, count } => load.getattr(&path, count).await,
    };
    println!("{}", serde_json::to_string(&figures.context("the job failed")?)?);
    Ok(())
}
