//! The thread that talks to the desktop's notification service: it may be slow, or start only when asked.

use std::collections::HashMap;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};

use engine::app::api::activity::Notification;
use notify_rust::{CloseReason, NotificationResponse};

use crate::notices::{Board, Bubble, BubbleId, Desktop, Heard};

/// Threads that wait for one bubble: what is replaced for hours does not gather them.
const ENOUGH: usize = 3;

enum Wish {
    Show(Notification),
    Withdraw(String),
    Heard(Heard),
}

#[derive(Clone)]
pub struct Notifier(Sender<Wish>);

impl Notifier {
    /// `open` is called with the row of a bubble that was clicked.
    pub fn start(open: impl Fn(u64) + Send + 'static) -> Notifier {
        let (sender, wishes) = mpsc::channel();
        let board = Board::new(System::new(sender.clone()));
        std::thread::spawn(move || serve(board, &wishes, open));
        Notifier(sender)
    }

    pub fn show(&self, notification: Notification) {
        self.send(Wish::Show(notification));
    }

    pub fn withdraw(&self, key: String) {
        self.send(Wish::Withdraw(key));
    }

    fn send(&self, wish: Wish) {
        if self.0.send(wish).is_err() {
            tracing::error!("the thread of notifications has ended");
        }
    }
}

fn serve(mut board: Board<System>, wishes: &Receiver<Wish>, open: impl Fn(u64)) {
    for wish in wishes {
        match wish {
            Wish::Show(notification) => board.show(&notification),
            Wish::Withdraw(key) => board.withdraw(&key),
            Wish::Heard(heard) => board.heard(heard).into_iter().for_each(&open),
        }
    }
}

/// The system's service through `notify-rust`.
struct System {
    heard: Sender<Wish>,
    /// How many threads wait for a bubble's end. One that is replaced gets another: the first may be at its end in the
    /// very moment (its bubble was clicked or ran out), and a click on the new one would reach nobody.
    waited_for: Arc<Mutex<HashMap<BubbleId, usize>>>,
    service: service::Service,
}

impl System {
    fn new(heard: Sender<Wish>) -> System {
        System { heard, waited_for: Arc::default(), service: service::Service::new() }
    }

    fn wait_for(&self, id: BubbleId, handle: notify_rust::NotificationHandle) {
        {
            let mut waited_for = self.waited_for.lock().unwrap_or_else(PoisonError::into_inner);
            let waiting = waited_for.entry(id).or_default();
            if *waiting >= ENOUGH {
                return;
            }
            *waiting += 1;
        }
        let (heard, waited_for) = (self.heard.clone(), self.waited_for.clone());
        std::thread::spawn(move || {
            let mut end = Heard::Gone(id);
            let waited = handle.wait_for_response(|response: &NotificationResponse| {
                end = match response {
                    NotificationResponse::Default | NotificationResponse::Action(_) => Heard::Clicked(id),
                    NotificationResponse::Closed(CloseReason::Dismissed) => Heard::Dismissed(id),
                    _ => Heard::Gone(id),
                };
            });
            if let Err(error) = waited {
                tracing::debug!("a notification's end was not heard: {error}");
            }
            let mut waiting = waited_for.lock().unwrap_or_else(PoisonError::into_inner);
            match waiting.get_mut(&id) {
                Some(count) if *count > 1 => *count -= 1,
                _ => drop(waiting.remove(&id)),
            }
            drop(waiting);
            let _ = heard.send(Wish::Heard(end)); // the app may be ending
        });
    }
}

impl Desktop for System {
    fn show(&self, bubble: &Bubble) -> Result<BubbleId, String> {
        let (id, handle) = self.service.show(bubble)?;
        self.wait_for(id, handle);
        Ok(id)
    }

    fn close(&self, id: BubbleId) {
        self.service.close(id);
    }
}

#[cfg(not(target_os = "macos"))]
mod service {
    //! org.freedesktop.Notifications.

    use std::cell::OnceCell;
    use std::time::Duration;

    use notify_rust::{Hint, Notification, NotificationHandle, Timeout, Urgency};

    use crate::notices::{Bubble, BubbleId};

    const NAME: &str = "org.freedesktop.Notifications";
    const PATIENCE: Duration = Duration::from_secs(5);

    pub struct Service {
        /// The service reads the body as markup; asked once.
        markup: OnceCell<bool>,
    }

    impl Service {
        pub fn new() -> Service {
            Service { markup: OnceCell::new() }
        }

        pub fn show(&self, bubble: &Bubble) -> Result<(BubbleId, NotificationHandle), String> {
            let mut notification = Notification::new();
            notification
                .appname("BucketBar")
                .summary(&bubble.title)
                .body(&self.body(&bubble.body))
                .icon("bucketbar")
                .action("default", "Open")
                .urgency(if bubble.urgent { Urgency::Critical } else { Urgency::Normal })
                .timeout(Timeout::Default);
            if let Some(id) = bubble.replaces {
                notification.id(id).hint(Hint::SuppressSound(true));
            }
            let handle = notification.show().map_err(|error| error.to_string())?;
            Ok((handle.id(), handle))
        }

        /// A file may be called `<b>`.
        fn body(&self, text: &str) -> String {
            let markup = *self.markup.get_or_init(|| {
                notify_rust::get_capabilities().is_ok_and(|all| all.iter().any(|one| one == "body-markup"))
            });
            if !markup {
                return text.to_owned();
            }
            text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
        }

        pub fn close(&self, id: BubbleId) {
            tauri::async_runtime::spawn(async move {
                if let Err(error) = close(id).await {
                    tracing::debug!("a notification could not be taken away: {error}");
                }
            });
        }
    }

    async fn close(id: BubbleId) -> zbus::Result<()> {
        let bus = zbus::connection::Builder::session().method_timeout(PATIENCE).build().await?;
        bus.call_method(Some(NAME), "/org/freedesktop/Notifications", Some(NAME), "CloseNotification", &id)
            .await?;
        Ok(())
    }
}

#[cfg(target_os = "macos")]
mod service {
    //! UNUserNotificationCenter. It needs the app's bundle; without one every call is an error, which is logged.

    use std::cell::Cell;

    use notify_rust::{Notification, NotificationHandle, Urgency};

    use crate::notices::{Bubble, BubbleId};

    pub struct Service {
        last: Cell<BubbleId>,
        asked: Cell<bool>,
    }

    impl Service {
        pub fn new() -> Service {
            Service { last: Cell::new(0), asked: Cell::new(false) }
        }

        pub fn show(&self, bubble: &Bubble) -> Result<(BubbleId, NotificationHandle), String> {
            self.ask_once()?;
            let id = bubble.replaces.unwrap_or_else(|| {
                self.last.set(self.last.get() + 1);
                self.last.get()
            });
            let mut notification = Notification::new();
            notification.summary(&bubble.title).body(&bubble.body).id(name(id)).urgency(if bubble.urgent {
                Urgency::Critical
            } else {
                Urgency::Normal
            });
            let handle = notification.show().map_err(|error| error.to_string())?;
            Ok((id, handle))
        }

        /// The person is asked when there is something to tell, not at the first start.
        fn ask_once(&self) -> Result<(), String> {
            if self.asked.get() {
                return Ok(());
            }
            notify_rust::request_auth_blocking().map_err(|error| error.to_string())?;
            self.asked.set(true);
            Ok(())
        }

        pub fn close(&self, id: BubbleId) {
            mac_usernotifications::blocking::close_delivered(&name(id));
        }
    }

    fn name(id: BubbleId) -> String {
        format!("{}.{id}", crate::IDENTIFIER)
    }
}
