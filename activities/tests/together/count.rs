//! How many statements a group costs.
use recado_activities::Purpose;
use recado_domain::MessageStatus;
use recado_engine::Prepared;
use recado_store::callbacks::{Callback, Heard};
use recado_testkit::Backend;
use sea_orm::{DatabaseTransaction, TransactionTrait};

use crate::{
    scenario::{Answer, Message, OURS, Scenario},
    world::{ACCOUNT, Way, World},
};

/// Messages of so many contacts whom nobody else writes as.
pub(crate) fn messages(owner: &'static str, contacts: std::ops::Range<usize>) -> Scenario {
    let message = |number| Message {
        owner,
        ours: OURS[0],
        theirs: String::leak(format!("whatsapp:+1415555{number:04}")),
        body: "oi",
        name: Some("Ana"),
        later: 0,
        is_copy: false,
        purpose: Purpose::Answer,
        answer: Answer::Taken,
    };
    Scenario {
        messages: contacts.map(message).collect(),
    }
}

impl World {
    /// How many statements each of the steps takes: check_billing, persist, prepare, record, a
    /// status callback for each.
    async fn statements_of(&self, tx: &DatabaseTransaction, scenario: &Scenario, round: usize) -> [usize; 5] {
        let mut courses = self.courses(scenario);
        for course in &mut courses {
            course.again(round);
        }
        let taken = || std::mem::take(&mut *self.statements.lock().unwrap()).len();
        let way = Way::Together;
        taken();
        let calls = courses.iter().map(|course| course.check()).collect();
        let grants = self.run(tx, way, &courses, calls).await.unwrap();
        assert!(
            grants
                .iter()
                .all(|grant| *grant == recado_activities::Grant::Granted)
        );
        let check = taken();
        let calls = courses.iter().map(|course| course.persist()).collect();
        let arrivals = self.run(tx, way, &courses, calls).await.unwrap();
        let persist = taken();
        let replies = || {
            let pairs = courses.iter().zip(&arrivals);
            pairs.map(|(course, arrival)| course.reply(arrival)).collect()
        };
        let prepared = self.prepare(tx, way, &courses, replies()).await.unwrap();
        assert!(prepared.iter().all(|prepared| matches!(prepared, Prepared::Go)));
        let prepare = taken();
        let sent: Vec<_> = courses.iter().map(|course| course.sent()).collect();
        let gone: Vec<_> = courses.iter().collect();
        self.record(tx, way, &gone, replies(), &sent).await.unwrap();
        let record = taken();
        let sids: Vec<_> = courses.iter().map(|course| course.answered_sid()).collect();
        let callbacks = sids.iter().map(|sid| {
            let callback = Callback {
                account_sid: ACCOUNT,
                token: None,
                sid,
                status: MessageStatus::Delivered,
                error_code: None,
                raw: "{}",
            };
            (callback, self.begun)
        });
        let heard = Heard::find(tx, callbacks.collect()).await.unwrap();
        heard.apply(tx).await.unwrap();
        [check, persist, prepare, record, taken()]
    }
}

#[tokio::test]
async fn a_group_of_any_size_costs_the_same_few_statements() {
    for backend in Backend::ALL {
        let world = World::new(backend).await;
        let tx = world.db.begin().await.unwrap();
        let mut known = 0;
        for (round, size) in [1, 7, 64, 300].into_iter().enumerate() {
            let strangers = messages("endless", known..known + size);
            known += size;
            let cost = world.statements_of(&tx, &strangers, 2 * round).await;
            assert_eq!(cost, [3, 6, 3, 3, 3], "{size} strangers on {backend:?}");
            let cost = world.statements_of(&tx, &strangers, 2 * round + 1).await;
            assert_eq!(cost, [3, 4, 3, 3, 3], "{size} who are known on {backend:?}");
        }
        let limited = messages("free", 0..40);
        assert_eq!(
            world.statements_of(&tx, &limited, 100).await,
            [4, 6, 3, 3, 3],
            "where a plan has a limit, on {backend:?}"
        );
    }
}
