//! P10: from the order to stop until the processes are verified gone.

use std::time::{Duration, Instant};

use signalbox::engine::model::Kill;
use signalbox::shell::process::{Containment, Supervisor};

use super::{EXE, World, until};

const GRACE: Duration = Duration::from_millis(500);

async fn once(level: Containment, part: &str) -> Duration {
    let (world, supervisor) = (World::new(), Supervisor::new(EXE.into(), level));
    let ready = if part == "deaf" { "cannot hear" } else { "Waiting" };
    let alive = supervisor.spawn(&world.run_dir(), &world.scripted(part)).await.expect("spawned");
    until(ready, || world.log().contains(ready).then_some(())).await;
    let begun = Instant::now();
    supervisor
        .stop(&alive, &world.run_dir(), Kill::Stop, Some(GRACE))
        .await
        .expect("ordered");
    let exit = world.exit(&alive).await;
    assert_eq!((exit.killed, exit.containment), (Some(Kill::Stop), level));
    begun.elapsed()
}

#[tokio::test]
#[ignore = "a measurement: cargo test --test it -- --ignored --nocapture p10"]
async fn p10_stop_until_verified_dead() {
    for level in Containment::ALL {
        if Supervisor::probed(EXE.into(), level).await.containment() != level {
            println!("P10 {}: not to be had here", level.as_str());
            continue;
        }
        for (part, beyond) in [("hang", Duration::ZERO), ("deaf", GRACE)] {
            let mut took = Vec::new();
            for _ in 0..20 {
                took.push(once(level, part).await.saturating_sub(beyond));
            }
            took.sort_unstable();
            println!(
                "P10 {} {part}: beyond the grace p50 {:?}, max {:?}",
                level.as_str(),
                took[10],
                took[19]
            );
        }
    }
}
