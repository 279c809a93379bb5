//! Brings the described menu onto the real one, change by change. Main thread only.

use tauri::menu::{CheckMenuItem, IsMenuItem, Menu, MenuItem, PredefinedMenuItem, Submenu};
use tauri::{AppHandle, Wry};

use crate::menu::{Change, Item, Kind, apply, changes};

pub struct Renderer {
    menu: Menu<Wry>,
    items: Vec<Item>,
    handles: Vec<Handle>,
}

/// The real line of each described one, in the same order.
enum Handle {
    Plain(MenuItem<Wry>),
    Check(CheckMenuItem<Wry>),
    Separator(PredefinedMenuItem<Wry>),
    Submenu(Submenu<Wry>, Vec<Handle>),
}

/// What lines are put into.
enum Place<'a> {
    Menu(&'a Menu<Wry>),
    Submenu(&'a Submenu<Wry>),
}

impl Renderer {
    pub fn new(app: &AppHandle, items: Vec<Item>) -> tauri::Result<Renderer> {
        let menu = Menu::new(app)?;
        let mut renderer = Renderer { menu, items: Vec::new(), handles: Vec::new() };
        renderer.update(app, items)?;
        Ok(renderer)
    }

    pub fn menu(&self) -> &Menu<Wry> {
        &self.menu
    }

    /// Touches only the lines that differ.
    pub fn update(&mut self, app: &AppHandle, items: Vec<Item>) -> tauri::Result<()> {
        for change in changes(&self.items, &items) {
            // The description goes along step by step: after an error the two still agree up to there.
            step(app, &Place::Menu(&self.menu), &mut self.handles, &change)?;
            apply(&mut self.items, &change);
        }
        Ok(())
    }

    /// A click on a line with a check mark toggles the mark by itself; what it says is the engine's word.
    pub fn undo_toggle(&self, id: &str) -> tauri::Result<()> {
        match find(&self.items, &self.handles, id) {
            Some((checked, handle)) => handle.set_checked(checked),
            None => Ok(()),
        }
    }
}

fn find<'a>(items: &[Item], handles: &'a [Handle], id: &str) -> Option<(bool, &'a CheckMenuItem<Wry>)> {
    items.iter().zip(handles).find_map(|(item, handle)| match (&item.kind, handle) {
        (Kind::Check(checked), Handle::Check(handle)) if item.id == id => Some((*checked, handle)),
        (Kind::Submenu(items), Handle::Submenu(_, handles)) => find(items, handles, id),
        _ => None,
    })
}

fn step(app: &AppHandle, place: &Place<'_>, handles: &mut Vec<Handle>, change: &Change) -> tauri::Result<()> {
    match change {
        Change::Remove { at } => {
            place.remove(*at)?;
            handles.remove(*at);
        }
        Change::Insert { at, item } => {
            let handle = make(app, item)?;
            place.insert(handle.line(), *at)?;
            handles.insert(*at, handle);
        }
        Change::Label { at, label } => handles[*at].label(label)?,
        Change::Enabled { at, enabled } => handles[*at].enabled(*enabled)?,
        Change::Checked { at, checked } => {
            if let Handle::Check(handle) = &handles[*at] {
                handle.set_checked(*checked)?;
            }
        }
        Change::Within { at, changes } => {
            if let Handle::Submenu(submenu, inner) = &mut handles[*at] {
                for change in changes {
                    step(app, &Place::Submenu(submenu), inner, change)?;
                }
            }
        }
    }
    Ok(())
}

fn make(app: &AppHandle, item: &Item) -> tauri::Result<Handle> {
    let label = label(&item.label);
    const NO_KEY: Option<&str> = None;
    Ok(match &item.kind {
        Kind::Plain => Handle::Plain(MenuItem::with_id(app, &item.id, label, item.enabled, NO_KEY)?),
        Kind::Check(checked) => {
            Handle::Check(CheckMenuItem::with_id(app, &item.id, label, item.enabled, *checked, NO_KEY)?)
        }
        Kind::Separator => Handle::Separator(PredefinedMenuItem::separator(app)?),
        Kind::Submenu(items) => {
            let submenu = Submenu::with_id(app, &item.id, label, item.enabled)?;
            let mut inner = Vec::with_capacity(items.len());
            for item in items {
                let handle = make(app, item)?;
                submenu.append(handle.line())?;
                inner.push(handle);
            }
            Handle::Submenu(submenu, inner)
        }
    })
}

/// A `&` marks a key to press; ours is a letter of a name.
fn label(text: &str) -> String {
    text.replace('&', "&&")
}

impl Handle {
    fn line(&self) -> &dyn IsMenuItem<Wry> {
        match self {
            Handle::Plain(line) => line,
            Handle::Check(line) => line,
            Handle::Separator(line) => line,
            Handle::Submenu(line, _) => line,
        }
    }

    fn label(&self, text: &str) -> tauri::Result<()> {
        let text = label(text);
        match self {
            Handle::Plain(line) => line.set_text(text),
            Handle::Check(line) => line.set_text(text),
            Handle::Submenu(line, _) => line.set_text(text),
            Handle::Separator(_) => Ok(()),
        }
    }

    fn enabled(&self, enabled: bool) -> tauri::Result<()> {
        match self {
            Handle::Plain(line) => line.set_enabled(enabled),
            Handle::Check(line) => line.set_enabled(enabled),
            Handle::Submenu(line, _) => line.set_enabled(enabled),
            Handle::Separator(_) => Ok(()),
        }
    }
}

impl Place<'_> {
    fn insert(&self, line: &dyn IsMenuItem<Wry>, at: usize) -> tauri::Result<()> {
        match self {
            Place::Menu(menu) => menu.insert(line, at),
            Place::Submenu(submenu) => submenu.insert(line, at),
        }
    }

    fn remove(&self, at: usize) -> tauri::Result<()> {
        match self {
            Place::Menu(menu) => menu.remove_at(at).map(drop),
            Place::Submenu(submenu) => submenu.remove_at(at).map(drop),
        }
    }
}
