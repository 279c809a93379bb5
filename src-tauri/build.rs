//! Tauri's own build step, only where the window is built. Naming the commands here means that a page may call
//! only those its capability names (`capabilities/pages.json`).

fn main() {
    #[cfg(feature = "window")]
    {
        let commands =
            tauri_build::AppManifest::new().commands(&["call", "open_page", "close_page", "pick_folder"]);
        if let Err(error) = tauri_build::try_build(tauri_build::Attributes::new().app_manifest(commands)) {
            panic!("{error:#}"); // cargo shows it
        }
        println!("cargo:rerun-if-changed=../icons");
    }
}
