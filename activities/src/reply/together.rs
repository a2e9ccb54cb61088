//! Replies of several runs in one transaction: before Twilio is asked, and after it has answered.
use recado_domain::MessageStatus;
use recado_engine::{Fault, Prepared};
use recado_store::{
    billing::{self, End, Settlement},
    messages,
    sending::{self, Reachable},
};
use sea_orm::DatabaseTransaction;

use super::{Purpose, Reply, Sent, Withheld};
use crate::{
    faults::of_store,
    group::{self, Member},
    way_out::{Closed, Instead},
};

/// Writes down what is about to be sent, as far as nothing forbids it now.
pub(super) async fn intend(members: &[Member<'_, Reply>]) -> Result<Vec<Prepared<Sent>>, Fault> {
    let (tx, now) = group::act(members)?;
    let withheld = forbid(tx, members).await?;
    let tokens: Vec<String> = members.iter().map(|member| member.attempt.key()).collect();
    let forms: Vec<Option<String>> = members.iter().map(|member| member.call.form()).collect();
    let (mut going, mut new, mut released) = (Vec::new(), Vec::new(), Vec::new());
    for (((member, token), form), withheld) in members.iter().zip(&tokens).zip(&forms).zip(&withheld) {
        if let Some(settled) = withheld {
            released.extend(member.end(settled));
            continue;
        }
        let call = member.call;
        let message = messages::NewOutbound {
            conversation: &call.conversation,
            contact: &call.contact,
            token,
            run: Some(member.run()),
            part: call.part.into(),
            kind: call.kind(),
            body: &call.body,
            form: form.as_deref(),
        };
        going.push(member);
        new.push((&call.owner, message, member.attempt.now()));
    }
    let inserted = messages::insert_outbound_each(tx, &new).await.map_err(of_store)?;
    for (member, inserted) in going.into_iter().zip(inserted) {
        if let messages::Inserted::Known(_) = inserted {
            member.call.take_up_again(member.attempt).await?;
        }
    }
    billing::settle_each(tx, &released, now).await.map_err(of_store)?;
    let prepared = |withheld: Option<Sent>| withheld.map_or(Prepared::Go, Prepared::Settled);
    Ok(withheld.into_iter().map(prepared).collect())
}

/// What becomes of those that may not be sent now; `None` for the others.
async fn forbid(tx: &DatabaseTransaction, members: &[Member<'_, Reply>]) -> Result<Vec<Option<Sent>>, Fault> {
    let recipient = |member| {
        let Member { call, .. }: &Member<'_, Reply> = member;
        sending::Recipient {
            owner: &call.owner,
            conversation: &call.conversation,
            address: &call.to,
        }
    };
    let recipients: Vec<_> = members.iter().map(recipient).collect();
    let reachable = sending::reachable_each(tx, &recipients).await.map_err(of_store)?;
    let mut settled = Vec::with_capacity(members.len());
    for (member, reachable) in members.iter().zip(reachable) {
        let gone = || Fault::fatal("no_conversation", "the conversation is gone");
        let reachable: Reachable = reachable.ok_or_else(gone)?;
        settled.push(match member.call.forbidden(reachable, member.attempt.now()) {
            Some(Withheld::OutsideWindow) => Some(outside_window(tx, member.call).await?),
            forbidden => forbidden.map(Sent::Withheld),
        });
    }
    Ok(settled)
}

/// What its owner wants sent instead of a text for which it is too late.
async fn outside_window(tx: &DatabaseTransaction, reply: &Reply) -> Result<Sent, Fault> {
    let instead = reply
        .not_taken()
        .instead(tx, Closed::Window)
        .await
        .map_err(of_store)?;
    Ok(match instead {
        Some(instead) => Sent::Elsewhere { instead, code: None },
        None => Sent::Withheld(Withheld::OutsideWindow),
    })
}

/// Writes down what Twilio said.
pub(super) async fn write_down(members: &[Member<'_, Reply>], sent: &[Sent]) -> Result<(), Fault> {
    let (tx, now) = group::act(members)?;
    let tokens: Vec<String> = members.iter().map(|member| member.attempt.key()).collect();
    let (mut accepted, mut settlements) = (Vec::new(), Vec::new());
    for ((member, token), sent) in members.iter().zip(&tokens).zip(sent) {
        match sent {
            Sent::Accepted { sid, status } => {
                accepted.push(messages::SentAs {
                    owner: &member.call.owner,
                    token,
                    sid,
                    // A status that we do not know yet says at least that Twilio took it.
                    status: MessageStatus::parse(status).unwrap_or(MessageStatus::Queued),
                    at: member.attempt.now(),
                });
                // A notice is no agent's answer.
                let end = match member.call.purpose {
                    Purpose::Notice => End::Released,
                    Purpose::Answer | Purpose::Outreach => End::Committed,
                };
                settlements.push(member.settle(end));
            }
            Sent::Withheld(_) => {
                member.call.silence(member.attempt).await?;
                settlements.extend(member.end(sent));
            }
            Sent::Elsewhere { code, .. } => {
                if let Some(code) = code {
                    member.call.refuse(member.attempt, *code).await?;
                }
                settlements.extend(member.end(sent));
            }
        }
    }
    messages::mark_sent_each(tx, &accepted).await.map_err(of_store)?;
    billing::settle_each(tx, &settlements, now)
        .await
        .map(drop)
        .map_err(of_store)
}

impl<'a> Member<'a, Reply> {
    /// What becomes of what the run reserved for what was not sent: a template that goes instead uses it, an SMS has its
    /// own.
    fn end(&'a self, sent: &Sent) -> Option<Settlement<'a>> {
        match sent {
            Sent::Elsewhere {
                instead: Instead::Template(_),
                ..
            } => None,
            _ => Some(self.settle(End::Released)),
        }
    }

    /// What becomes of what the run reserved.
    fn settle(&'a self, end: End) -> Settlement<'a> {
        Settlement {
            owner: &self.call.owner,
            run: self.run(),
            feature: self.call.feature(),
            end,
        }
    }
}
