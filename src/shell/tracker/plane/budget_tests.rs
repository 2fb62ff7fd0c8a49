use super::*;

/// Sends as many as there is room for.
fn fill(window: &mut Window, urgency: Urgency, now: Instant) -> usize {
    let mut sent = 0;
    while window.wait(urgency, 1, now).is_none() {
        window.sent.push_back(now);
        sent += 1;
    }
    sent
}

#[test]
fn a_window_holds_sixty_and_each_class_leaves_a_part_of_them_to_those_above() {
    let (mut window, now) = (Window::default(), Instant::now());
    assert_eq!(fill(&mut window, Urgency::Whenever, now), 30);
    assert_eq!(fill(&mut window, Urgency::Ours, now), 10);
    assert_eq!(fill(&mut window, Urgency::Shown, now), 5);
    assert_eq!(fill(&mut window, Urgency::Whenever, now), 0);
    assert_eq!(fill(&mut window, Urgency::Person, now), 9);
    assert_eq!(fill(&mut window, Urgency::Stop, now), 6);
    let later = now + Duration::from_secs(50);
    assert_eq!(window.wait(Urgency::Person, 1, later), Some(WINDOW - Duration::from_secs(50)));
    assert_eq!(window.wait(Urgency::Stop, 1, later), Some(WINDOW - Duration::from_secs(50)));
    assert_eq!(fill(&mut window, Urgency::Stop, now + WINDOW), 60);
}

#[test]
fn what_is_less_urgent_stands_behind() {
    let (mut window, now) = (Window::default(), Instant::now());
    window.waiting[Urgency::Shown as usize] = 1;
    assert!(window.wait(Urgency::Whenever, 1, now).is_some());
    assert!(window.wait(Urgency::Ours, 1, now).is_some());
    assert!(window.wait(Urgency::Shown, 1, now).is_none());
    assert!(window.wait(Urgency::Person, 1, now).is_none());
}

/// Whatever the service does for itself: there is room for a person.
#[test]
fn every_class_but_peoples_leaves_room_however_little_is_allowed() {
    for limit in [2, 3, 10, 44, 60, 300, 100_000] {
        for urgency in [Urgency::Shown, Urgency::Ours, Urgency::Whenever] {
            let (mut window, now) = (
                Window {
                    limit,
                    ..Window::default()
                },
                Instant::now(),
            );
            let sent = fill(&mut window, urgency, now);
            assert!((1..limit).contains(&sent), "{limit} {urgency:?}: {sent}");
            let (people, stops) = (fill(&mut window, Urgency::Person, now), fill(&mut window, Urgency::Stop, now));
            assert!(
                people + stops >= (limit / 4).clamp(1, 15) && sent + people + stops == limit,
                "{limit} {urgency:?}: {people} {stops}"
            );
            assert!(stops >= 1 && (people >= 1 || limit < 4), "{limit} {urgency:?}: {people} {stops}");
        }
    }
}

/// Room for several is waited for as a whole, so that one does not begin what cannot be ended.
#[test]
fn there_is_room_for_several_only_where_all_of_them_fit() {
    let (mut window, begun) = (Window::default(), Instant::now());
    let second = Duration::from_secs(1);
    for n in 0..39 {
        window.sent.push_back(begun + second * n);
    }
    let now = begun + second * 40;
    assert_eq!(window.wait(Urgency::Ours, 1, now), None);
    assert_eq!(window.wait(Urgency::Ours, 3, now), Some(WINDOW - second * 39), "two have to leave");
    assert_eq!(window.wait(Urgency::Ours, 3, begun + WINDOW + second), None);
    window.limit = 2;
    window.sent.clear();
    assert_eq!(
        window.wait(Urgency::Ours, 3, now),
        None,
        "more than is ever allowed is as much as is"
    );
}

/// The service asks on and on, for itself, whenever there is room: a person always finds room at once.
#[test]
fn a_person_is_served_at_once_while_the_service_uses_up_its_own_part() {
    let (mut window, begun) = (Window::default(), Instant::now());
    for second in 0..600 {
        let now = begun + Duration::from_secs(second);
        for urgency in [Urgency::Ours, Urgency::Whenever, Urgency::Shown] {
            fill(&mut window, urgency, now);
        }
        // Nine a minute are people's, six more their STOPs'.
        if second % 61 == 60 {
            for nth in 0..9 {
                assert_eq!(window.wait(Urgency::Person, 1, now), None, "second {second}, request {nth}");
                window.sent.push_back(now);
            }
            for nth in 0..6 {
                assert_eq!(window.wait(Urgency::Stop, 1, now), None, "second {second}, STOP {nth}");
                window.sent.push_back(now);
            }
            let wait = window.wait(Urgency::Ours, 3, now);
            assert!(wait.is_some_and(|wait| wait <= WINDOW), "the time is named: {wait:?}");
        }
        assert!(window.sent.len() <= 60);
    }
}

#[tokio::test]
async fn what_has_no_patience_is_told_at_once_when_there_is_room() {
    let budget = Budget::default();
    fill(&mut lock(&budget.window), Urgency::Shown, Instant::now());
    for refused in [budget.take(Haste::OURS).await.err(), budget.room(Haste::SWEEP, 3).await.err()] {
        assert!(
            refused.is_some_and(|wait| wait > Duration::from_secs(50) && wait <= WINDOW),
            "{refused:?}"
        );
    }
    assert!(budget.take(Haste::PERSON).await.is_ok());
    assert!(budget.room(Haste::PERSON, 3).await.is_ok());
    assert_eq!(lock(&budget.window).sent.len(), 46, "room is looked for, not taken");
}

/// Where others use the same key, the last requests are not spent on learning what is left.
#[test]
fn asking_again_leaves_the_last_ones_to_people() {
    let mut window = Window {
        limit: 44,
        ..Window::default()
    };
    let begun = Instant::now();
    for tenth in 0..600 {
        let now = begun + Duration::from_millis(tenth * 100);
        while window.wait(Urgency::Ours, 1, now).is_none() {
            window.sent.push_back(now);
        }
    }
    let end = begun + Duration::from_secs(60);
    assert_eq!(window.sent.len(), 44 - LAST);
    assert_eq!(fill(&mut window, Urgency::Person, end), 4);
    assert_eq!(fill(&mut window, Urgency::Stop, end), 6);
}

#[tokio::test]
async fn what_the_server_says_corrects_it() {
    for (said, left) in [(3, 3), (299, 299), (0, 1)] {
        let budget = Budget::default();
        let sent = budget.take(Haste::PERSON).await.ok().unwrap();
        sent.remaining(said);
        drop(sent);
        assert_eq!(fill(&mut lock(&budget.window), Urgency::Stop, Instant::now()), left, "{said}");
    }
}

#[tokio::test]
async fn a_refusal_closes_it_for_as_long_as_the_server_says() {
    let budget = Budget::default();
    let sent = budget.take(Haste::PERSON).await.ok().unwrap();
    sent.refused(Duration::from_secs(30));
    drop(sent);
    let left = budget.take(Haste::PERSON).await.err().unwrap();
    assert!((20..=30).contains(&left.as_secs()), "{left:?}");
    let after = Instant::now() + Duration::from_secs(31);
    assert_eq!(lock(&budget.window).wait(Urgency::Person, 1, after), None);
}

#[tokio::test]
async fn a_full_window_is_not_waited_for() {
    let budget = Budget::default();
    fill(&mut lock(&budget.window), Urgency::Person, Instant::now());
    assert!(budget.take(Haste::PERSON).await.is_err());
    assert_eq!(lock(&budget.window).waiting, [0; Urgency::ALL]);
}

#[test]
fn one_key_on_one_server_has_one_budget() {
    let budgets = Budgets::default();
    let a = budgets.of("https://plane.example", &Secret::new("k"));
    assert!(Arc::ptr_eq(&a, &budgets.of("https://plane.example", &Secret::new("k"))));
    assert!(!Arc::ptr_eq(&a, &budgets.of("https://plane.example", &Secret::new("l"))));
    assert!(!Arc::ptr_eq(&a, &budgets.of("https://other.example", &Secret::new("k"))));
}

#[tokio::test]
async fn what_never_reached_the_server_is_not_counted() {
    let budget = Budget::default();
    for _ in 0..200 {
        let sent = budget.take(Haste::PERSON).await.ok().unwrap();
        sent.uncounted();
    }
    let window = lock(&budget.window);
    assert_eq!((window.sent.len(), window.under_way), (0, 0));
}

/// After a start the server still counts what was sent before: its minute frees sooner than ours would.
#[tokio::test]
async fn a_server_that_has_little_left_is_asked_again_soon() {
    let budget = Budget::default();
    let sent = budget.take(Haste::PERSON).await.ok().unwrap();
    sent.remaining(0);
    drop(sent);
    let mut window = lock(&budget.window);
    let now = Instant::now();
    assert_eq!(fill(&mut window, Urgency::Stop, now), 1);
    let wait = window.wait(Urgency::Person, 1, now).unwrap();
    assert!(wait <= AGAIN, "{wait:?}");
    assert_eq!(window.wait(Urgency::Person, 1, now + AGAIN), None);
}

/// Asking again never goes beyond what is allowed by our own count.
#[test]
fn asking_again_stays_within_sixty_a_minute() {
    let mut window = Window {
        limit: 2,
        ..Window::default()
    };
    let (begun, mut sent) = (Instant::now(), 0);
    for tenth in 0..600 {
        let now = begun + Duration::from_millis(tenth * 100);
        while window.wait(Urgency::Person, 1, now).is_none() {
            window.sent.push_back(now);
            sent += 1;
        }
    }
    assert!((10..60).contains(&sent), "{sent}");
}
