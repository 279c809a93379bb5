//! Every fault of local-hub under a copying workload: nothing lost, nothing doubled, no wrong content ever visible.

use model::far_side::{ROUTES, Weather, harms};
use model::steps::Step;
use model::world::World;

use crate::random::program;

/// What a person does while the Hub misbehaves: copies, an edit, a look, a safe-save, a move, a removal.
fn workload(fill: u32) -> Vec<Step> {
    let save = |name, length, fill| Step::Save { dir: 0, name, length, fill };
    vec![
        save(0, 20_000, fill),
        Step::Write { file: fill as u16, at: 500, length: 900, fill: fill + 1, durable: false },
        Step::Look { file: 0 },
        save(1, 70_000, fill + 2),
        Step::SafeSave { file: 1, length: 3_000, fill: fill + 3 },
        Step::Nap { ms: 90 },
        Step::Rename { node: fill as u16, dir: 0, name: (fill % 9) as u8 },
        Step::Look { file: 2 },
        Step::Remove { node: (fill / 3) as u16 },
        Step::List { dir: 0 },
        Step::Nap { ms: 90 },
        Step::Status,
        Step::Settle,
    ]
}

#[test]
fn every_fault_under_a_copying_workload_loses_doubles_and_shows_nothing_wrong() {
    let all = harms();
    let full = std::env::var_os("BUCKETBAR_FULL").is_some();
    let mut world = World::new(&program(), 1).unwrap();
    let (mut done, mut failed) = (0, Vec::new());
    for (harm, (name, _)) in all.iter().enumerate() {
        for (route, pattern) in ROUTES.iter().enumerate() {
            // Short: every harm on batches and on two more routes, every route with some harm.
            if !full && route != 0 && route % 5 != harm % 5 {
                continue;
            }
            let weather = Weather { route: route as u8, harm: harm as u8, after: 0, times: 2 };
            let steps = [Step::Hub(weather)].into_iter().chain(workload((harm * 31 + route) as u32 * 7 + 1));
            for step in steps {
                world.trace.push(format!("{step:?}"));
                if let Err(broken) = world.step(step) {
                    let from = world.trace.len().saturating_sub(40);
                    println!("{}", world.trace[from..].join("\n"));
                    failed.push(format!("{name} on {pattern}: {step:?}: {broken}"));
                    world = World::new(&program(), 1).unwrap();
                    break;
                }
            }
            done += 1;
        }
    }
    println!("{done} faults");
    assert!(failed.is_empty(), "{} of {done}:\n{}", failed.len(), failed.join("\n"));
}
