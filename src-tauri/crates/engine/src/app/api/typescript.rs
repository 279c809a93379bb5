//! `ui/src/api/engine.ts` says what these types say. `BUCKETBAR_WRITE_TS=1 cargo nextest run … typescript`
//! writes it anew.

use std::fmt::Write;
use std::path::PathBuf;

use ts_rs::{Config, TS};

use super::accounts::*;
use super::activity::*;
use super::buckets::*;
use super::commands::*;
use super::error::*;
use super::event::*;
use super::helper::*;
use super::queue::*;
use super::settings::*;
use super::state::*;
use super::storage::*;

const HEAD: &str =
    "// Generated from src-tauri/crates/engine/src/app/api by its test `typescript`. Do not edit.\n\n";

fn config() -> Config {
    // No figure here comes near 2^53.
    Config::new().with_large_int("number")
}

fn declare<T: TS + 'static>(text: &mut String) {
    let config = config();
    if let Some(docs) = T::docs() {
        let _ = writeln!(text, "{}", docs.trim_end());
    }
    let _ = writeln!(text, "export {}\n", T::decl(&config));
}

macro_rules! declare_all {
    ($text:expr, $($type:ty),* $(,)?) => {$( declare::<$type>($text); )*};
}

macro_rules! command_table {
    ($($(#[doc = $doc:literal])* $name:ident($args:ty) -> $answer:ty;)*) => {
        fn commands(text: &mut String) {
            let config = config();
            text.push_str("/** Every command: what it takes, what it answers. A failure is an AppError. */\n");
            text.push_str("export interface Commands {\n");
            $(
                $( let _ = writeln!(text, "  /**{} */", $doc); )*
                let _ = writeln!(
                    text, "  {}: {{ args: {}; answer: {} }};", stringify!($name),
                    <$args as TS>::inline(&config).replace("Record<symbol, never>", "Record<string, never>"),
                    <$answer as TS>::name(&config)
                );
            )*
            text.push_str("}\n\nexport const COMMANDS = [");
            text.push_str(&NAMES.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", "));
            text.push_str("] as const satisfies readonly (keyof Commands)[];\n");
        }
    };
}
all_commands!(command_table);

fn generated() -> String {
    let mut text = HEAD.to_owned();
    declare_all!(
        &mut text,
        ErrorCode,
        AppError,
        AccountKind,
        AccountHealth,
        Account,
        DeviceReason,
        SignIn,
        HfCliOffer,
        UnsentBucket,
        Unsent,
        ActivityKind,
        ActivityAction,
        ActivityEntry,
        Notification,
        OwnerKind,
        ReadOnlyReason,
        Mount,
        BucketSync,
        Bucket,
        OwnerGroup,
        Program,
        Unmounted,
        HeldDeletes,
        DeletesAnswer,
        Version,
        Conflict,
        Resolution,
        Removed,
        RemovedList,
        KeptState,
        KeptItem,
        BucketStorage,
        Storage,
        KeepCost,
        RowAction,
        FailureClass,
        RowState,
        QueueRow,
        QueuePage,
        SavedRow,
        SavedList,
        LogLevel,
        Settings,
        BucketList,
        About,
        Icon,
        AppStatus,
        AppState,
        Part,
        AppEvent,
        HelperStatus,
        Helper,
        Nothing,
        Count,
        Place,
        Link,
        Text,
        Asked,
    );
    commands(&mut text);
    text
}

#[test]
fn the_generated_file_is_up_to_date() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../ui/src/api/engine.ts");
    let text = generated();
    if std::env::var_os("BUCKETBAR_WRITE_TS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "{} is not up to date: run this test with BUCKETBAR_WRITE_TS=1", path.display());
}
