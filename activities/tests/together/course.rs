//! One message on its way, as the calls that its workflow would make.
use chrono::TimeDelta;
use recado_activities::{Arrival, CheckBilling, Persist, Reply, Sent, Withheld};
use recado_domain::{Address, MessageStatus, OwnerId};
use recado_engine::testing::Trial;
use recado_store::{
    callbacks, contacts,
    conversations::{self, Parties},
    messages,
};
use sea_orm::DatabaseTransaction;

use crate::{
    scenario::{Answer, Message, OURS},
    world::ACCOUNT,
};

/// One message on its way.
pub(crate) struct Course<'a> {
    pub(crate) message: &'a Message,
    pub(crate) number: usize,
    pub(crate) sid: String,
    pub(crate) trial: Trial,
}

impl Course<'_> {
    /// The same contact writes once more.
    pub(crate) fn again(&mut self, round: usize) {
        self.number += 1000 * round;
        self.sid = format!("SM{:032}", self.number);
        let now = self.trial.attempt(None).now() + TimeDelta::seconds(1);
        self.trial = Trial::new(format!("run-{:08}", self.number).as_str(), now);
    }

    fn owner(&self) -> OwnerId {
        OwnerId::from(self.message.owner)
    }

    fn theirs(&self) -> Address {
        Address::parse(self.message.theirs).unwrap()
    }

    /// Of the two of ours, that on the contact's channel.
    fn ours(&self) -> Address {
        let ours = OURS.map(|ours| Address::parse(ours).unwrap());
        let same = ours.iter().find(|ours| ours.channel() == self.theirs().channel());
        let chosen = Address::parse(self.message.ours).unwrap();
        match chosen.channel() == self.theirs().channel() {
            true => chosen,
            false => same.unwrap().clone(),
        }
    }

    fn token(&self) -> String {
        self.trial.attempt(None).key()
    }

    pub(crate) fn answered_sid(&self) -> String {
        format!("SMout{:030}", self.number)
    }

    pub(crate) fn check(&self) -> CheckBilling {
        CheckBilling {
            owner: self.owner(),
            contact: self.theirs(),
        }
    }

    pub(crate) fn persist(&self) -> Persist {
        Persist {
            owner: self.owner(),
            sid: self.sid.clone(),
            from: self.theirs(),
            to: self.ours(),
            body: self.message.body.to_owned(),
            media: u32::from(self.message.body.is_empty()),
            profile_name: self.message.name.map(str::to_owned),
            opt_out_type: None,
            received_at: None,
            form: vec![("Body".to_owned(), self.message.body.to_owned())],
        }
    }

    pub(crate) fn reply(&self, arrival: &Arrival) -> Reply {
        Reply {
            owner: self.owner(),
            account: ACCOUNT.to_owned(),
            conversation: arrival.conversation.clone(),
            contact: arrival.contact.clone(),
            from: self.ours(),
            service: None,
            to: self.theirs(),
            body: format!("answer {}", self.number),
            media_urls: Vec::new(),
            template: None,
            part: 0,
            purpose: self.message.purpose,
        }
    }

    pub(crate) fn sent(&self) -> Sent {
        match self.message.answer {
            Answer::OptedOut => Sent::Withheld(Withheld::OptedOut),
            answer => Sent::Accepted {
                sid: self.answered_sid(),
                status: match answer {
                    Answer::TakenInUnknownWords => "teleported".to_owned(),
                    _ => "queued".to_owned(),
                },
            },
        }
    }

    /// A message of ours that Twilio refused, as it stands before a person lets it be tried again. Its usage is not
    /// given back here, so that a tight plan has room for it.
    pub(crate) async fn refuse_before(&self, tx: &DatabaseTransaction) {
        if self.message.answer != Answer::TriedAgain {
            return;
        }
        let (owner, at) = (self.owner(), self.trial.attempt(None).now());
        let contact = contacts::find_or_create(tx, &owner, &self.theirs(), None, at)
            .await
            .unwrap();
        let (ours, theirs) = (self.ours(), self.theirs());
        let parties = Parties {
            contact: &contact,
            ours: &ours,
            theirs: &theirs,
        };
        let talk = conversations::open_or_find(tx, &owner, parties, at)
            .await
            .unwrap();
        let token = self.token();
        let new = messages::NewOutbound {
            conversation: &talk.id,
            contact: &contact,
            kind: "text",
            body: "refused",
            token: &token,
            run: None,
            part: 0,
            form: None,
        };
        messages::insert_outbound(tx, &owner, &new, at).await.unwrap();
        messages::mark_refused(tx, &owner, &token, Some(30001), "full", at)
            .await
            .unwrap();
    }

    /// What Twilio reports before we have written its answer down.
    pub(crate) async fn call_back(&self, tx: &DatabaseTransaction) {
        let (sid, token) = (self.answered_sid(), self.token());
        let (status, token) = match self.message.answer {
            Answer::CalledBack(status) => (status, Some(token.as_str())),
            Answer::Orphan(status) => (status, None),
            _ => return,
        };
        let callback = callbacks::Callback {
            account_sid: ACCOUNT,
            token,
            sid: &sid,
            status: MessageStatus::parse(status).unwrap(),
            error_code: (status == "undelivered").then_some(30003),
            raw: status,
        };
        let at = self.trial.attempt(None).now();
        callbacks::apply(tx, &callback, at).await.unwrap();
    }
}
