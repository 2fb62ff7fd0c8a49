use super::*;

/// Sends as many as there is room for.
fn fill(window: &mut Window, urgency: Urgency, now: Instant) -> usize {
    let mut sent = 0;
    while window.wait(urgency, now).is_none() {
        window.sent.push_back(now);
        sent += 1;
    }
    sent
}

#[test]
fn a_window_holds_sixty_and_listings_leave_a_third_of_them() {
    let (mut window, now) = (Window::default(), Instant::now());
    assert_eq!(fill(&mut window, Urgency::Whenever, now), 40);
    assert_eq!(fill(&mut window, Urgency::Now, now), 20);
    let later = now + Duration::from_secs(50);
    assert_eq!(window.wait(Urgency::Now, later), Some(WINDOW - Duration::from_secs(50)));
    assert_eq!(fill(&mut window, Urgency::Now, now + WINDOW), 60);
}

#[test]
fn listings_stand_behind_what_people_wait_for() {
    let (mut window, now) = (Window::default(), Instant::now());
    window.urgent = 1;
    assert!(window.wait(Urgency::Whenever, now).is_some());
    assert!(window.wait(Urgency::Now, now).is_none());
}

#[tokio::test]
async fn what_the_server_says_corrects_it() {
    for (said, left) in [(3, 3), (299, 299), (0, 1)] {
        let budget = Budget::default();
        let sent = budget.take(Urgency::Now).await.ok().unwrap();
        sent.remaining(said);
        drop(sent);
        assert_eq!(fill(&mut lock(&budget.window), Urgency::Now, Instant::now()), left, "{said}");
    }
}

#[tokio::test]
async fn a_refusal_closes_it_for_as_long_as_the_server_says() {
    let budget = Budget::default();
    let sent = budget.take(Urgency::Now).await.ok().unwrap();
    sent.refused(Duration::from_secs(30));
    drop(sent);
    let left = budget.take(Urgency::Now).await.err().unwrap();
    assert!((29..=30).contains(&left.as_secs()), "{left:?}");
    let after = Instant::now() + Duration::from_secs(31);
    assert_eq!(lock(&budget.window).wait(Urgency::Now, after), None);
}

#[tokio::test]
async fn a_full_window_is_not_waited_for() {
    let budget = Budget::default();
    fill(&mut lock(&budget.window), Urgency::Now, Instant::now());
    assert!(budget.take(Urgency::Now).await.is_err());
    assert_eq!(lock(&budget.window).urgent, 0);
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
        let sent = budget.take(Urgency::Now).await.ok().unwrap();
        sent.uncounted();
    }
    let window = lock(&budget.window);
    assert_eq!((window.sent.len(), window.under_way), (0, 0));
}

/// After a start the server still counts what was sent before: its minute frees sooner than ours would.
#[tokio::test]
async fn a_server_that_has_little_left_is_asked_again_soon() {
    let budget = Budget::default();
    let sent = budget.take(Urgency::Now).await.ok().unwrap();
    sent.remaining(0);
    drop(sent);
    let mut window = lock(&budget.window);
    let now = Instant::now();
    assert_eq!(fill(&mut window, Urgency::Now, now), 1);
    let wait = window.wait(Urgency::Now, now).unwrap();
    assert!(wait <= AGAIN, "{wait:?}");
    assert_eq!(window.wait(Urgency::Now, now + AGAIN), None);
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
        while window.wait(Urgency::Now, now).is_none() {
            window.sent.push_back(now);
            sent += 1;
        }
    }
    assert!((10..60).contains(&sent), "{sent}");
}
