//! The tray's menu as data: [`describe`] says what it is for a state of the app, [`changes`] how to get from one
//! to the next with the least touching. A tray menu on Linux can be changed but not replaced, and a menu that is
//! built anew under the pointer flickers everywhere.

mod action;
mod buckets;
mod changes;
mod describe;

pub use action::Action;
pub use changes::{Change, apply, changes};
pub use describe::{describe, starting, tooltip, with_update};

/// One line of a menu.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Unique in the whole menu, and the same from one state to the next. What a click means is read from it
    /// ([`Action::of_id`]).
    pub id: String,
    pub label: String,
    pub enabled: bool,
    pub kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Check(bool),
    Separator,
    Submenu(Vec<Item>),
}

impl Item {
    fn of(action: &Action, label: impl Into<String>) -> Item {
        Item { id: action.id(), label: label.into(), enabled: true, kind: Kind::Plain }
    }

    fn check(action: &Action, label: impl Into<String>, checked: bool) -> Item {
        Item { kind: Kind::Check(checked), ..Item::of(action, label) }
    }

    /// A line that says something and does nothing.
    fn words(id: &str, label: impl Into<String>) -> Item {
        Item { id: id.to_owned(), label: label.into(), enabled: false, kind: Kind::Plain }
    }

    fn separator(name: &str) -> Item {
        Item { id: format!("separator:{name}"), label: String::new(), enabled: false, kind: Kind::Separator }
    }

    fn submenu(id: String, label: impl Into<String>, items: Vec<Item>) -> Item {
        Item { id, label: label.into(), enabled: true, kind: Kind::Submenu(items) }
    }

    fn enabled(self, enabled: bool) -> Item {
        Item { enabled, ..self }
    }
}
