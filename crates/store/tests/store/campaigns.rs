use recado_domain::{CampaignMessage, CampaignState, Channel, Fields};
use recado_store::campaigns::{self, Going, NewCampaign, NewPerson, PersonState, Report, Verdict};

use crate::fixture::{Fixture, hours, on_both};

impl Fixture {
    /// A campaign to so many people that runs.
    async fn campaign(&self, count: usize) -> String {
        let message = CampaignMessage::default();
        let new = NewCampaign {
            name: "one",
            channel: Channel::Sms,
            sender: None,
            message: &message,
            pace: None,
            request: None,
            asked: None,
        };
        let made = campaigns::create(&self.db, &self.owner, new, self.now).await;
        let id = made.unwrap().unwrap();
        let person = |n| NewPerson {
            address: format!("+551198765{n:04}"),
            prospect: format!("p{n}"),
            fields: Fields::default(),
            verdict: Verdict::Ready,
        };
        let people: Vec<_> = (1..=count).map(person).collect();
        let inserted = campaigns::insert_people(&self.db, &self.owner, &id, 1, &people, self.now);
        inserted.await.unwrap();
        self.change(&id, CampaignState::Draft, CampaignState::Running)
            .await;
        id
    }

    async fn change(&self, id: &str, from: CampaignState, to: CampaignState) {
        let changed = campaigns::change(&self.db, &self.owner, id, &[from], to, self.now).await;
        assert!(changed.unwrap());
    }

    async fn settle(&self, id: &str, n: i64, state: PersonState, run: Option<&str>) {
        let report = Report {
            owner: &self.owner,
            campaign: id,
            n,
            state,
            run,
            sid: None,
            error_code: None,
            error_message: None,
        };
        let settled = campaigns::settle_each(&self.db, &[report], self.now).await;
        settled.unwrap();
    }

    async fn states(&self, id: &str) -> Vec<&'static str> {
        let people = campaigns::people(&self.db, &self.owner, id, None, None, 100).await;
        let people = people.unwrap().items;
        people.iter().map(|person| person.state.as_str()).collect()
    }
}

#[tokio::test]
async fn who_was_taken_is_settled_once_held_after_a_while_and_never_forgotten() {
    on_both(async |at| {
        let id = at.campaign(4).await;
        let (db, owner, now) = (&at.db, &at.owner, at.now);
        campaigns::take(db, owner, &id, &[1, 2, 3], now).await.unwrap();
        let forgotten = async || {
            let forgotten = campaigns::forgotten(db, owner, &id, 10).await.unwrap();
            forgotten.iter().map(|person| person.n).collect::<Vec<_>>()
        };
        assert_eq!(forgotten().await, [1, 2, 3], "no run is known to write to them");
        for n in [1, 2] {
            at.settle(&id, n, PersonState::Taken, Some("run")).await;
        }
        assert_eq!(forgotten().await, [3]);
        let going = async |since| campaigns::going(db, owner, &id, since).await.unwrap();
        assert_eq!(going(now).await, Going { taken: 3, held: 0 });
        // Those who are on their way for long are held, and their runs still say what became of them: the first word counts.
        assert_eq!(going(now + hours(1)).await, Going { taken: 1, held: 2 });
        at.settle(&id, 1, PersonState::Sent, Some("run")).await;
        at.settle(&id, 1, PersonState::Failed, Some("other")).await;
        at.settle(&id, 4, PersonState::Sent, Some("nobody took the person"))
            .await;
        assert_eq!(at.states(&id).await, ["sent", "held", "taken", "ready"]);

        // Twilio takes no more today: the person is to be written to by another run, and the campaign waits.
        campaigns::put_back(db, owner, &id, 2, (now + hours(9), now))
            .await
            .unwrap();
        let waits = async || {
            campaigns::find(db, owner, &id)
                .await
                .unwrap()
                .unwrap()
                .waits_until
        };
        assert_eq!(waits().await, Some(now + hours(9)));
        let ready = campaigns::ready(db, owner, &id, 10).await.unwrap();
        let tries: Vec<_> = ready.iter().map(|person| (person.n, person.tries)).collect();
        assert_eq!(tries, [(2, 1), (4, 0)]);

        // Cancelled, and what is sent back afterwards stays cancelled.
        at.change(&id, CampaignState::Running, CampaignState::Cancelled)
            .await;
        assert_eq!(campaigns::cancel_ready(db, owner, &id, now).await.unwrap(), 2);
        assert_eq!(waits().await, None);
        campaigns::put_back(db, owner, &id, 3, (now + hours(9), now))
            .await
            .unwrap();
        assert_eq!(
            at.states(&id).await,
            ["sent", "cancelled", "cancelled", "cancelled"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_campaign_is_forgotten_with_its_people_when_it_is_old_and_over() {
    on_both(async |at| {
        let (old, going) = (at.campaign(5).await, at.campaign(2).await);
        at.change(&old, CampaignState::Running, CampaignState::Completed)
            .await;
        let purge = async |owner, before| campaigns::purge(&at.db, owner, before, 3).await.unwrap();
        assert_eq!(purge(&at.owner, at.now).await, 0);
        assert_eq!(purge(&at.other, at.now + hours(1)).await, 0);
        assert_eq!(purge(&at.owner, at.now + hours(1)).await, 3, "some at a time");
        assert_eq!(
            purge(&at.owner, at.now + hours(1)).await,
            3,
            "two people and the campaign"
        );
        assert_eq!(purge(&at.owner, at.now + hours(1)).await, 0);
        let left = campaigns::find(&at.db, &at.owner, &old).await.unwrap();
        assert_eq!((left, at.states(&going).await.len()), (None, 2));
    })
    .await;
}
