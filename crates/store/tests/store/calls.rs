//! Calls: what is reported of them in any order, before and after we know them, and never to another owner.
use recado_domain::{CallStatus, RecordingStatus};
use recado_store::{
    StoreError, accounts,
    calls::{
        self, Name, NewCall,
        reports::{self, News, Report},
    },
    contacts,
    prospects::{self, Filter, Link, Medium},
    unfinished::{Sending, unfinished},
};

use crate::fixture::{ACCOUNT, Fixture, THEIR_ACCOUNT, address, hours, on_both};

const THEIRS: &str = "+5511987654321";

fn of_call(account: &str, token: Option<&str>, status: CallStatus, duration: Option<i64>) -> Report {
    Report {
        account_sid: account.to_owned(),
        token: token.map(str::to_owned),
        call_sid: "CA1".to_owned(),
        news: News::Call {
            status,
            duration,
            answered_by: None,
            error_code: None,
        },
        raw: "[]".to_owned(),
    }
}

fn of_recording(status: RecordingStatus, duration: Option<i64>) -> Report {
    Report {
        news: News::Recording {
            sid: "RE1".to_owned(),
            status,
            duration,
            error_code: None,
        },
        ..of_call(ACCOUNT, None, CallStatus::Queued, None)
    }
}

async fn hear(at: &Fixture, report: &Report) {
    let call = reports::call_of(&at.db, report).await.unwrap();
    reports::apply(&at.db, call.as_ref(), report, at.now)
        .await
        .unwrap();
}

/// A call of ours to a prospect, known by its token.
async fn intend(at: &Fixture) -> bool {
    let contact = contacts::find_or_create(&at.db, &at.owner, &address(THEIRS), None, at.now)
        .await
        .unwrap();
    let link = Link {
        owner: &at.owner,
        prospect: "ana",
        address: &address(THEIRS),
        contact: &contact,
        at: at.now,
    };
    prospects::link_each(&at.db, &[link]).await.unwrap();
    let new = NewCall {
        contact: Some(&contact),
        ours: "+14155238886",
        theirs: THEIRS,
        name: Name::Token("token"),
        run: "run",
        form: "{}",
    };
    calls::insert(&at.db, &at.owner, &new, at.now).await.unwrap()
}

#[tokio::test]
async fn reports_in_any_order_before_the_call_is_known_end_where_it_ended() {
    on_both(async |at| {
        // Neither the token nor the SID is known to anybody yet.
        hear(at, &of_recording(RecordingStatus::Completed, Some(7))).await;
        hear(
            at,
            &of_call(ACCOUNT, Some("token"), CallStatus::Completed, Some(15)),
        )
        .await;
        hear(at, &of_call(ACCOUNT, Some("token"), CallStatus::Ringing, None)).await;
        assert!(intend(at).await);
        assert!(!intend(at).await, "the same call once more");
        let call = calls::by_token(&at.db, &at.owner, "token")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (call.status, call.duration),
            (Some(CallStatus::Completed), Some(15))
        );
        assert_eq!(call.twilio_sid.as_deref(), Some("CA1"));
        // The recording named the call by its SID, which the token's report has brought.
        reports::adopt_all(&at.db, at.now).await.unwrap();
        hear(at, &of_recording(RecordingStatus::InProgress, None)).await;
        calls::mark_placed(&at.db, &at.owner, "token", "CA1", CallStatus::Queued, at.now)
            .await
            .unwrap();
        let filter = Filter {
            medium: Some(Medium::Call),
            ..Filter::default()
        };
        let page = prospects::history(&at.db, &at.owner, "ana", filter, None, 10)
            .await
            .unwrap();
        let item = &page.items[0];
        assert_eq!(
            (item.status.as_deref(), item.duration, item.is_failure),
            (Some("completed"), Some(15), false)
        );
        let recording = &item.recordings[0];
        assert_eq!(
            (recording.status, recording.duration),
            (RecordingStatus::Completed, Some(7))
        );
        let (found, _) = reports::call_of_recording(&at.db, ACCOUNT, "RE1")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.id, call.id);
        assert_eq!(at.count("call_events").await, 4, "every report is kept");
        assert_eq!(
            reports::purge(&at.db, at.now + hours(1)).await.unwrap(),
            0,
            "none is an orphan"
        );
    })
    .await;
}

#[tokio::test]
async fn p6_another_account_reports_nothing_of_our_calls_and_another_owner_sees_none() {
    on_both(async |at| {
        assert!(intend(at).await);
        hear(
            at,
            &of_call(THEIR_ACCOUNT, Some("token"), CallStatus::Failed, None),
        )
        .await;
        let call = async || {
            calls::by_token(&at.db, &at.owner, "token")
                .await
                .unwrap()
                .unwrap()
        };
        assert_eq!(call().await.status, None);
        calls::mark_placed(&at.db, &at.owner, "token", "CA1", CallStatus::Queued, at.now)
            .await
            .unwrap();
        hear(at, &of_call(THEIR_ACCOUNT, None, CallStatus::Failed, None)).await;
        assert_eq!(call().await.status, Some(CallStatus::Queued));
        hear(at, &of_recording(RecordingStatus::Completed, Some(7))).await;

        assert_eq!(calls::by_sid(&at.db, &at.other, "CA1").await.unwrap(), None);
        assert_eq!(calls::recording(&at.db, &at.other, "RE1").await.unwrap(), None);
        assert_eq!(
            calls::of_calls(&at.db, &at.other, &[call().await.id])
                .await
                .unwrap(),
            []
        );
        assert_eq!(
            reports::call_of_recording(&at.db, THEIR_ACCOUNT, "RE1")
                .await
                .unwrap(),
            None
        );
        let theirs = calls::mark_placed(&at.db, &at.other, "token", "CA2", CallStatus::Queued, at.now).await;
        assert!(matches!(theirs, Err(StoreError::NotFound(_))), "{theirs:?}");
        // Twilio has it twice: what was heard first stays.
        calls::mark_placed(&at.db, &at.owner, "token", "CA2", CallStatus::Queued, at.now)
            .await
            .unwrap();
        assert_eq!(call().await.twilio_sid.as_deref(), Some("CA1"));
        calls::mark_refused(&at.db, &at.owner, "token", Some(1), "no", at.now)
            .await
            .unwrap();
        assert_eq!(call().await.status, Some(CallStatus::Queued), "Twilio has it");
        let kept = calls::Kept {
            sha256: "00".to_owned(),
            content_type: "audio/mpeg".to_owned(),
            bytes: 1,
        };
        let theirs = calls::keep(&at.db, &at.other, "RE1", &kept, at.now).await;
        assert!(matches!(theirs, Err(StoreError::NotFound(_))), "{theirs:?}");
    })
    .await;
}

#[tokio::test]
async fn what_was_never_reported_to_have_ended_is_found_by_its_owner_account_and_age() {
    on_both(async |at| {
        assert!(intend(at).await);
        // Ids are of the clock, which the fixture's is not.
        let now = chrono::Utc::now();
        let find = async |owner, account, from, until| {
            unfinished(&at.db, owner, account, Sending::Calls, (from, until), None, 10)
                .await
                .unwrap()
        };
        let (from, until) = (now - hours(1), now + hours(1));
        assert_eq!(
            find(&at.owner, ACCOUNT, from, until).await,
            [],
            "Twilio does not have it"
        );
        calls::mark_placed(&at.db, &at.owner, "token", "CA1", CallStatus::Queued, at.now)
            .await
            .unwrap();
        let ours = address("+14155238886");
        accounts::add_number(&at.db, &at.owner, ACCOUNT, &ours, at.now)
            .await
            .unwrap();
        let found = find(&at.owner, ACCOUNT, from, until).await;
        assert_eq!((found.len(), found[0].twilio_sid.as_str()), (1, "CA1"));
        assert_eq!(find(&at.other, ACCOUNT, from, until).await, []);
        assert_eq!(find(&at.owner, THEIR_ACCOUNT, from, until).await, []);
        assert_eq!(find(&at.owner, ACCOUNT, from, now - hours(1)).await, []);
        let more = unfinished(
            &at.db,
            &at.owner,
            ACCOUNT,
            Sending::Calls,
            (from, until),
            Some(&found[0].id),
            10,
        );
        assert_eq!(more.await.unwrap(), []);
        hear(at, &of_call(ACCOUNT, None, CallStatus::NoAnswer, Some(0))).await;
        assert_eq!(find(&at.owner, ACCOUNT, from, until).await, []);
    })
    .await;
}
