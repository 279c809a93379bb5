//! The panel: owns `org.kde.StatusNotifierWatcher`, sees the icon and the menu of the app, and clicks.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use zbus::message::Header;
use zbus::{Connection, interface};
use zbus::{OwnedVariant, Variant};

use crate::wait::until;

const ITEM: &str = "org.kde.StatusNotifierItem";
const MENU: &str = "com.canonical.dbusmenu";

/// The bus name and object path of each icon, the latest last.
type Items = Arc<Mutex<Vec<(String, String)>>>;

struct Watcher(Items);

#[interface(name = "org.kde.StatusNotifierWatcher")]
impl Watcher {
    fn register_status_notifier_item(&self, service: String, #[zbus(header)] header: Header<'_>) {
        let sender = header.sender().map(ToString::to_string).unwrap_or_default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((sender, service));
    }

    fn register_status_notifier_host(&self, _service: String) {}

    #[zbus(property)]
    fn registered_status_notifier_items(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|(name, path)| format!("{name}{path}"))
            .collect()
    }

    #[zbus(property)]
    fn is_status_notifier_host_registered(&self) -> bool {
        true
    }

    #[zbus(property)]
    fn protocol_version(&self) -> i32 {
        0
    }
}

pub struct Panel {
    bus: Connection,
    items: Items,
}

/// A line of the menu, as the panel sees it.
#[derive(Debug, Clone)]
pub struct Line {
    id: i32,
    pub label: String,
    pub enabled: bool,
    /// `None` for a line without a check mark.
    pub checked: Option<bool>,
    pub below: Vec<Line>,
}

impl Panel {
    /// # Panics
    /// When the bus does not give the name.
    pub async fn start() -> Panel {
        let items = Items::default();
        let bus = zbus::connection::Builder::session()
            .name("org.kde.StatusNotifierWatcher")
            .serve_at("/StatusNotifierWatcher", Watcher(items.clone()))
            .method_timeout(Duration::from_secs(30))
            .build()
            .await;
        Panel { bus: bus.unwrap_or_else(|error| panic!("the panel's place on the bus: {error}")), items }
    }

    /// The icon of the app that was started last, as soon as it has one with a menu. One of an app that is gone has
    /// none any more and is passed over.
    pub async fn icon(&self) -> TrayIcon {
        let items = || self.items.lock().unwrap_or_else(PoisonError::into_inner);
        until("an icon with a menu in the panel", || async {
            let icon = items().pop().ok_or("no icon")?;
            let (name, path) = &icon;
            let menu: Option<zbus::OwnedObjectPath> =
                property(&self.bus, name, path, "Menu").await.and_then(|value| value.try_into().ok());
            let Some(menu) = menu else {
                items().insert(0, icon); // looked at again after the others
                return Err("an icon without a menu");
            };
            Ok(TrayIcon { bus: self.bus.clone(), name: icon.0, path: icon.1, menu: menu.to_string() })
        })
        .await
    }
}

pub struct TrayIcon {
    bus: Connection,
    name: String,
    path: String,
    menu: String,
}

impl TrayIcon {
    /// Which picture of `icons/tray` it shows.
    pub async fn shows(&self) -> Option<String> {
        let file: String = property(&self.bus, &self.name, &self.path, "IconName").await?.try_into().ok()?;
        let shown = pixels(Path::new(&file))?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../icons/tray");
        let states = ["idle", "syncing", "paused", "attention", "offline", "signed_out"];
        states
            .into_iter()
            .find(|state| pixels(&folder.join(format!("{state}-panel.png"))).as_ref() == Some(&shown))
            .map(str::to_owned)
    }

    /// The menu, and how long it took to open: asking the app for it, and its answer.
    pub async fn open(&self) -> (Vec<Line>, Duration) {
        let began = Instant::now();
        let arguments = (0i32, -1i32, Vec::<&str>::new());
        let Some(answer) = self.call("GetLayout", &arguments).await else {
            return (Vec::new(), began.elapsed());
        };
        let took = began.elapsed();
        type Layout = (u32, (i32, HashMap<String, OwnedVariant>, Vec<OwnedVariant>));
        let lines =
            answer.body().deserialize::<Layout>().map(|(_, (_, _, below))| lines(below)).unwrap_or_default();
        (lines, took)
    }

    pub async fn menu(&self) -> Vec<Line> {
        self.open().await.0
    }

    /// The first line of the menu: how things are, in words.
    pub async fn status(&self) -> String {
        self.menu().await.first().map(|line| line.label.clone()).unwrap_or_default()
    }

    /// The line of this label, at any depth.
    pub async fn line(&self, label: &str) -> Option<Line> {
        find(&self.menu().await, label)
    }

    /// Clicks the line of this label, as soon as it is there and can be clicked.
    pub async fn click(&self, label: &str) {
        let line = until(&format!("“{label}” in the menu"), || async {
            let menu = self.menu().await;
            find(&menu, label).filter(|line| line.enabled).ok_or_else(|| words(&menu))
        })
        .await;
        let arguments = (line.id, "clicked", Variant::from(""), 0u32);
        assert!(
            self.call("Event", &arguments).await.is_some(),
            "the click on “{label}” did not reach the app"
        );
    }

    async fn call(
        &self,
        method: &str,
        arguments: &(impl serde::Serialize + zbus::zvariant::DynamicType),
    ) -> Option<zbus::Message> {
        self.bus
            .call_method(Some(self.name.as_str()), self.menu.as_str(), Some(MENU), method, arguments)
            .await
            .ok()
    }
}

async fn property(bus: &Connection, name: &str, path: &str, property: &str) -> Option<OwnedVariant> {
    let arguments = (ITEM, property);
    let answer = bus
        .call_method(Some(name), path, Some("org.freedesktop.DBus.Properties"), "Get", &arguments)
        .await
        .ok()?;
    answer.body().deserialize().ok()
}

fn lines(values: Vec<OwnedVariant>) -> Vec<Line> {
    values.into_iter().filter_map(|value| value.try_into().ok()).map(line).collect()
}

fn line((id, mut properties, below): (i32, HashMap<String, OwnedVariant>, Vec<OwnedVariant>)) -> Line {
    let mut word = |name: &str| properties.remove(name).and_then(|value| String::try_from(value).ok());
    let label = word("label").unwrap_or_default().replace("__", "_");
    let checkable = word("toggle-type").is_some();
    let number = properties.remove("toggle-state").and_then(|value| i32::try_from(value).ok());
    let enabled = properties.remove("enabled").and_then(|value| bool::try_from(value).ok()).unwrap_or(true);
    Line { id, label, enabled, checked: checkable.then_some(number == Some(1)), below: lines(below) }
}

fn find(lines: &[Line], label: &str) -> Option<Line> {
    lines
        .iter()
        .find_map(|line| if line.label == label { Some(line.clone()) } else { find(&line.below, label) })
}

/// The menu in words, for a failed test.
pub fn words(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| line.label.clone()).collect()
}

fn pixels(file: &Path) -> Option<Vec<u8>> {
    let file = std::io::BufReader::new(std::fs::File::open(file).ok()?);
    let mut reader = png::Decoder::new(file).read_info().ok()?;
    let mut pixels = vec![0; reader.output_buffer_size()?];
    reader.next_frame(&mut pixels).ok()?;
    Some(pixels)
}
