use recado_store::{
    billing::{self, Grant, Level, Override, Refusal, Request},
    plans,
    subscriptions::{self, SubscriptionState},
};

use sea_orm::ConnectionTrait;

use crate::fixture::{Fixture, address, hours, on_both};

const CONTACT: &str = "whatsapp:+5511987654321";

async fn reserve(at: &Fixture, run: &str, quantity: i64, later: i64) -> Grant {
    let contact = address(CONTACT);
    let request = Request {
        run,
        feature: plans::MESSAGES,
        quantity,
        contact: &contact,
    };
    billing::reserve(&at.db, &at.owner, request, at.now + hours(later))
        .await
        .unwrap()
}

async fn used(at: &Fixture, later: i64) -> (i64, Level) {
    let usage = billing::usage_of(&at.db, &at.owner, at.now + hours(later))
        .await
        .unwrap();
    let usage = usage
        .into_iter()
        .find(|usage| usage.feature == plans::MESSAGES)
        .unwrap();
    (usage.used, usage.level)
}

fn over_quota(notice: bool) -> Grant {
    Grant::Refused {
        reason: Refusal::OverQuota,
        notice,
    }
}

#[tokio::test]
async fn the_last_of_a_quota_goes_to_one_run() {
    on_both(async |at| {
        assert_eq!(reserve(at, "before", 99, 0).await, Grant::Granted);
        let grants = at
            .at_once(8, async |tx, number| {
                let (run, contact) = (format!("run-{number}"), address(CONTACT));
                let request = Request {
                    run: &run,
                    feature: plans::MESSAGES,
                    quantity: 1,
                    contact: &contact,
                };
                billing::reserve(tx, &at.owner, request, at.now).await
            })
            .await;
        assert_eq!(
            grants.iter().filter(|grant| **grant == Grant::Granted).count(),
            1,
            "{grants:?}"
        );
        assert_eq!(
            grants.iter().filter(|grant| **grant == over_quota(true)).count(),
            1,
            "told once: {grants:?}"
        );
        assert_eq!(used(at, 0).await, (100, Level::Blocked));
    })
    .await;
}

#[tokio::test]
async fn a_run_that_asks_again_is_counted_once() {
    on_both(async |at| {
        for _ in 0..3 {
            assert_eq!(reserve(at, "run", 60, 0).await, Grant::Granted);
        }
        assert_eq!(used(at, 0).await, (60, Level::Ok));
        let commit = async || {
            billing::commit(&at.db, &at.owner, "run", plans::MESSAGES, at.now)
                .await
                .unwrap()
        };
        assert!(commit().await);
        assert!(!commit().await, "a second time there is nothing to commit");
        assert_eq!(
            reserve(at, "run", 60, 0).await,
            Grant::Granted,
            "what is committed stays granted"
        );
        assert_eq!(used(at, 0).await, (60, Level::Ok));
    })
    .await;
}

#[tokio::test]
async fn what_is_released_can_be_used_by_another() {
    on_both(async |at| {
        assert_eq!(reserve(at, "one", 100, 0).await, Grant::Granted);
        assert_eq!(reserve(at, "two", 1, 0).await, over_quota(true));
        assert!(
            billing::release(&at.db, &at.owner, "one", plans::MESSAGES, at.now)
                .await
                .unwrap()
        );
        assert!(
            !billing::commit(&at.db, &at.owner, "one", plans::MESSAGES, at.now)
                .await
                .unwrap()
        );
        assert_eq!(used(at, 0).await, (0, Level::Ok));
        assert_eq!(reserve(at, "two", 1, 0).await, Grant::Granted);
        assert_eq!(
            reserve(at, "one", 100, 0).await,
            over_quota(false),
            "what it gave back it must ask for"
        );
        assert_eq!(reserve(at, "one", 99, 0).await, Grant::Granted);
        assert_eq!(used(at, 0).await, (100, Level::Blocked));
    })
    .await;
}

#[tokio::test]
async fn a_contact_is_told_once_a_period() {
    on_both(async |at| {
        assert_eq!(reserve(at, "all", 100, 0).await, Grant::Granted);
        assert_eq!(reserve(at, "first", 1, 0).await, over_quota(true));
        assert_eq!(
            reserve(at, "first", 1, 0).await,
            over_quota(true),
            "the same run gets the same answer"
        );
        assert_eq!(reserve(at, "second", 1, 1).await, over_quota(false));
        let next_month = 24 * 32;
        assert_eq!(
            used(at, next_month).await,
            (0, Level::Ok),
            "a period begins by itself"
        );
        assert_eq!(reserve(at, "third", 100, next_month).await, Grant::Granted);
        assert_eq!(reserve(at, "fourth", 1, next_month).await, over_quota(true));
        let period = subscriptions::find(&at.db, &at.owner).await.unwrap().unwrap();
        assert_eq!(
            period.current_period_start.to_rfc3339(),
            "2026-04-10T12:00:00+00:00"
        );
    })
    .await;
}

#[tokio::test]
async fn a_subscription_without_access_refuses() {
    on_both(async |at| {
        for (state, granted) in [
            (SubscriptionState::Suspended, false),
            (SubscriptionState::PastDue, true),
            (SubscriptionState::Canceled, false),
            (SubscriptionState::PendingCancellation, true),
        ] {
            subscriptions::set_state(&at.db, &at.owner, state, at.now)
                .await
                .unwrap();
            let grant = reserve(at, state.as_str(), 1, 0).await;
            assert_eq!(grant == Grant::Granted, granted, "{state:?}: {grant:?}");
        }
        let after_the_end = reserve(at, "late", 1, 24 * 40).await;
        assert!(
            matches!(
                after_the_end,
                Grant::Refused {
                    reason: Refusal::NoAccess,
                    ..
                }
            ),
            "{after_the_end:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn a_feature_outside_the_plan_is_refused() {
    on_both(async |at| {
        let contact = address(CONTACT);
        for feature in [plans::ANALYTICS, "teleportation"] {
            let request = Request {
                run: "run",
                feature,
                quantity: 1,
                contact: &contact,
            };
            let grant = billing::reserve(&at.db, &at.owner, request, at.now)
                .await
                .unwrap();
            assert_eq!(
                grant,
                Grant::Refused {
                    reason: Refusal::NotInPlan,
                    notice: true
                },
                "{feature}"
            );
        }
        let nobody = recado_domain::OwnerId::from("nobody");
        let request = Request {
            run: "run",
            feature: plans::MESSAGES,
            quantity: 1,
            contact: &contact,
        };
        let grant = billing::reserve(&at.db, &nobody, request, at.now).await.unwrap();
        assert_eq!(
            grant,
            Grant::Refused {
                reason: Refusal::NoAccess,
                notice: true
            }
        );
    })
    .await;
}

#[tokio::test]
async fn an_override_stands_before_the_plan_until_it_ends() {
    on_both(async |at| {
        let until = Some(at.now + hours(2));
        let grant = Override {
            feature: plans::MESSAGES,
            quota: Some(150),
            who: "ana",
            why: "a fair",
            until,
        };
        billing::grant_override(&at.db, &at.owner, grant, at.now)
            .await
            .unwrap();
        assert_eq!(reserve(at, "one", 120, 0).await, Grant::Granted);
        assert_eq!(used(at, 0).await, (120, Level::Warn80));
        assert_eq!(
            reserve(at, "two", 1, 3).await,
            over_quota(true),
            "the override is over"
        );
        let grant = Override {
            feature: plans::MESSAGES,
            quota: None,
            who: "ana",
            why: "a friend",
            until: None,
        };
        billing::grant_override(&at.db, &at.owner, grant, at.now)
            .await
            .unwrap();
        assert_eq!(reserve(at, "three", 1_000_000, 3).await, Grant::Granted);
        assert_eq!(used(at, 3).await, (1_000_120, Level::Ok));
    })
    .await;
}

/// Counters that are not the sum of their ledger.
const WRONG: &str = "
    usage_counters c where used <> (select coalesce(sum(u.quantity), 0) from usage u
        where u.owner = c.owner and u.feature = c.feature and u.period_start = c.period_start
            and u.state <> 'released')";

#[tokio::test]
async fn groups_that_ask_and_give_back_at_once_share_a_quota_exactly() {
    on_both(async |at| {
        assert_eq!(reserve(at, "before", 90, 0).await, Grant::Granted);
        let contact = address(CONTACT);
        let grants = at
            .at_once(8, async |tx, number| {
                let runs: Vec<_> = (0..5).map(|run| format!("run-{number}-{run}")).collect();
                let want = |run| billing::Want {
                    owner: &at.owner,
                    run,
                    features: &[plans::MESSAGES, plans::AGENT_ANSWERS],
                    quantity: 1,
                    contact: &contact,
                };
                let wants: Vec<_> = runs.iter().map(|run| want(run.as_str())).collect();
                let grants = billing::reserve_each(tx, &wants, at.now).await?;
                let ends = runs.iter().map(|run| billing::Settlement {
                    owner: &at.owner,
                    run,
                    feature: plans::AGENT_ANSWERS,
                    end: billing::End::Released,
                });
                billing::settle_each(tx, &ends.collect::<Vec<_>>(), at.now).await?;
                Ok(grants)
            })
            .await
            .concat();
        let granted = grants.iter().filter(|grant| **grant == Grant::Granted).count();
        assert_eq!((granted, grants.len()), (10, 40));
        assert_eq!(used(at, 0).await, (100, Level::Blocked));
        assert_eq!(at.count(WRONG).await, 0);
        assert_eq!(at.count("usage where state = 'released'").await, 10);
        let told = grants.iter().filter(|grant| **grant == over_quota(true)).count();
        assert_eq!(told, 1, "a contact is told once");
    })
    .await;
}

#[tokio::test]
async fn counting_does_not_read_the_ledger() {
    on_both(async |at| {
        let sql = "update usage_counters set used = 99";
        assert_eq!(reserve(at, "before", 1, 0).await, Grant::Granted);
        at.db.execute_unprepared(sql).await.unwrap();
        assert_eq!(used(at, 0).await, (99, Level::Critical95));
        assert_eq!(reserve(at, "one", 1, 0).await, Grant::Granted);
        assert_eq!(reserve(at, "two", 1, 0).await, over_quota(true));
    })
    .await;
}
