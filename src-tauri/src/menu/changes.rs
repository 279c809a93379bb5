//! The difference of two menus, as steps that hold one after the other.

use std::collections::HashSet;
use std::mem::discriminant;

use super::{Item, Kind};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Remove { at: usize },
    Insert { at: usize, item: Item },
    Label { at: usize, label: String },
    Enabled { at: usize, enabled: bool },
    Checked { at: usize, checked: bool },
    Within { at: usize, changes: Vec<Change> },
}

/// The steps from `old` to `new`; none when they are equal. A line is the same one if id and kind are; one that
/// moved is taken out and put in again.
pub fn changes(old: &[Item], new: &[Item]) -> Vec<Change> {
    let wanted: HashSet<_> = new.iter().map(same).collect();
    let mut steps = Vec::new();
    let mut now: Vec<&Item> = Vec::with_capacity(old.len());
    for item in old {
        if wanted.contains(&same(item)) {
            now.push(item);
        } else {
            steps.push(Change::Remove { at: now.len() });
        }
    }
    for (at, item) in new.iter().enumerate() {
        match now[at..].iter().position(|there| same(there) == same(item)) {
            Some(0) => inside(at, now[at], item, &mut steps),
            Some(further) => {
                now.remove(at + further);
                steps.push(Change::Remove { at: at + further });
                insert(at, item, &mut now, &mut steps);
            }
            None => insert(at, item, &mut now, &mut steps),
        }
    }
    steps
}

fn insert<'a>(at: usize, item: &'a Item, now: &mut Vec<&'a Item>, steps: &mut Vec<Change>) {
    now.insert(at, item);
    steps.push(Change::Insert { at, item: item.clone() });
}

fn same(item: &Item) -> (&str, std::mem::Discriminant<Kind>) {
    (&item.id, discriminant(&item.kind))
}

fn inside(at: usize, old: &Item, new: &Item, steps: &mut Vec<Change>) {
    if old.label != new.label {
        steps.push(Change::Label { at, label: new.label.clone() });
    }
    if old.enabled != new.enabled {
        steps.push(Change::Enabled { at, enabled: new.enabled });
    }
    match (&old.kind, &new.kind) {
        (Kind::Check(was), Kind::Check(checked)) if was != checked => {
            steps.push(Change::Checked { at, checked: *checked });
        }
        (Kind::Submenu(was), Kind::Submenu(is)) => {
            let within = changes(was, is);
            if !within.is_empty() {
                steps.push(Change::Within { at, changes: within });
            }
        }
        _ => {}
    }
}

/// Takes one step on a description; the renderer does the same on the real menu.
pub fn apply(items: &mut Vec<Item>, change: &Change) {
    match change {
        Change::Remove { at } => drop(items.remove(*at)),
        Change::Insert { at, item } => items.insert(*at, item.clone()),
        Change::Label { at, label } => items[*at].label.clone_from(label),
        Change::Enabled { at, enabled } => items[*at].enabled = *enabled,
        Change::Checked { at, checked } => items[*at].kind = Kind::Check(*checked),
        Change::Within { at, changes } => {
            if let Kind::Submenu(inner) = &mut items[*at].kind {
                changes.iter().for_each(|change| apply(inner, change));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn items(depth: u32) -> BoxedStrategy<Vec<Item>> {
        let kind = if depth == 0 {
            prop_oneof![Just(Kind::Plain), any::<bool>().prop_map(Kind::Check)].boxed()
        } else {
            prop_oneof![
                Just(Kind::Plain),
                any::<bool>().prop_map(Kind::Check),
                items(depth - 1).prop_map(Kind::Submenu)
            ]
            .boxed()
        };
        let item = (0..12u8, "[ab]?", any::<bool>(), kind).prop_map(|(id, label, enabled, kind)| Item {
            id: id.to_string(),
            label,
            enabled,
            kind,
        });
        vec(item, 0..9).prop_map(unique).boxed()
    }

    fn unique(items: Vec<Item>) -> Vec<Item> {
        let mut seen = HashSet::new();
        items.into_iter().filter(|item| seen.insert(item.id.clone())).collect()
    }

    proptest! {
        #[test]
        fn the_steps_lead_from_any_menu_to_any_other(old in items(2), new in items(2)) {
            let mut menu = old.clone();
            for change in changes(&old, &new) {
                apply(&mut menu, &change);
            }
            prop_assert_eq!(menu, new);
        }

        #[test]
        fn the_same_menu_needs_no_step(menu in items(2)) {
            prop_assert_eq!(changes(&menu, &menu), vec![]);
        }
    }

    #[test]
    fn one_check_mark_is_one_step() {
        let menu = |on| {
            vec![
                Item { id: "a".into(), label: "A".into(), enabled: true, kind: Kind::Plain },
                Item { id: "b".into(), label: "B".into(), enabled: true, kind: Kind::Check(on) },
            ]
        };
        assert_eq!(changes(&menu(false), &menu(true)), [Change::Checked { at: 1, checked: true }]);
    }
}
